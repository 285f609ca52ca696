export { commandLine, exportDelayMs, type MemberProgram, programEnvironment } from '../../../compiler/emit/program-environment.ts';
