// Run by service-process.test.ts: a state service as its generated entry starts it.
import { file } from '../../../runtime/state/file.ts';
import { startStateService } from '../../../runtime/state/service.ts';

await startStateService({ id: 'state', kind: 'state', replicas: 1, resources: { vcpu: 1, memoryMb: 256 }, options: {} }, file);
