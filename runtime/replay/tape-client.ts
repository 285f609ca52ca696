import { CallError, type DrawReply, type DrawRequest, type Peers, tapeAddress } from '../../compiler/contracts/index.ts';
import { firstOf, keepAlive, postJson } from './http.ts';

/** The deployment's tape as a process of it sees it. */
export interface TapeClient {
  update(peers: Peers): void;
  /** Addresses that are not known yet. */
  missing(): readonly string[];
  /** @throws CallError `unavailable` */
  draw(request: DrawRequest): Promise<DrawReply>;
  close(): void;
}

export function createTapeClient(): TapeClient {
  const agent = keepAlive();
  let at: ReturnType<typeof firstOf>;
  return {
    update: (peers) => {
      if (tapeAddress in peers) at = firstOf(peers, tapeAddress);
    },
    missing: () => (at === undefined ? [tapeAddress] : []),
    draw: async (request) => {
      if (at === undefined) throw new CallError({ code: 'unavailable', message: 'the tape is not known yet', neverStarted: true });
      return (await postJson(agent, at, '/draw', request)) as DrawReply;
    },
    close: () => agent.destroy(),
  };
}
