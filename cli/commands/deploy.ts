import type { StageContext } from '../../compiler/contracts/index.ts';
import { listenForInterrupt } from '../interrupt.ts';
import { compileLive, deployConfiguration } from '../laboratory.ts';
import { insistOn, layoutOf } from '../layouts.ts';
import { serveLive } from '../live/serve.ts';
import { openProject, openTarget } from '../project.ts';
import { createProgress } from '../render/progress.ts';
import { createRunFolder } from '../run-folder.ts';

/** Deploys one layout and keeps it up until Ctrl-C; `apply` and `verify` find it meanwhile. */
export async function deploy(
  file: string,
  options: { readonly layout: string; readonly target?: string; readonly port?: number },
): Promise<number> {
  const project = await openProject(file, options);
  const configuration = await layoutOf(project, options.layout);
  insistOn(project, configuration);
  const target = await openTarget(project);
  await target.clean();
  const progress = createProgress('auto');
  const interrupt = listenForInterrupt(() => progress.emit({ type: 'notice', severity: 'info', message: 'stopping' }));
  const context: StageContext = { emit: progress.emit, signal: interrupt.signal, now: Date.now, seed: project.scenario.config.seed };
  const folder = await createRunFolder('.dmas-opt/deployments', project.scenario.name, Date.now());
  const port = options.port ?? project.scenario.config.ingress.port;
  const compiled = await compileLive(project, configuration);
  const deployment = await deployConfiguration(
    { project, target, folder, context },
    configuration,
    `${folder.id.slice(-4)}-deploy`,
    context,
    { ingressPort: port, compiled },
  );
  try {
    progress.close();
    const serving = serveLive(deployment, { project, folder, configuration, bundles: compiled.bundles }, context);
    process.stdout.write(
      `${project.scenario.name} (${deployment.id}) answers at ${deployment.ingressUrls.join(' ')} (POST / with the input as JSON); Ctrl-C stops it\n`,
    );
    await serving;
  } finally {
    await deployment.stop();
    interrupt.dispose();
  }
  return 0;
}
