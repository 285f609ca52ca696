import { answersAgree } from './suite.ts';

// A framework's agents: a hand-off and an agent used as a tool are function calls of the SDK in no layout, always calls of ours.
await answersAgree('openai-agents-triage');
