import { mcp } from '../../../../runtime/protocols/mcp.ts';
import { protocolSuite } from '../../../contract/protocol-suite.ts';

// The contract suite runs the default, which between units is the stateless revision; the older one must keep it too.
protocolSuite(mcp, { ...mcp.options.parse({}), revision: '2025-11-25' }, async () => ({
  at: { host: '127.0.0.1', port: 0 },
  cleanUp: async () => {},
}));
