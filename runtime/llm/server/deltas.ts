import type { Reply } from './reply.ts';

export interface Delta {
  readonly content?: string;
  readonly tool_calls?: readonly {
    readonly index: number;
    readonly id?: string;
    readonly type?: 'function';
    readonly function: { readonly name?: string; readonly arguments: string };
  }[];
}

/**
 * Cuts a reply into what streams send: `next(tokensVisible)` gives the deltas up to that many tokens, each character
 * once. The last call must be with all tokens.
 */
export function createDeltas(reply: Reply): { next(tokensVisible: number): Delta[] } {
  const parts = reply.toolCalls.length > 0 ? reply.toolCalls.map((call) => call.arguments) : [reply.text];
  const characters = parts.reduce((sum, part) => sum + part.length, 0);
  let sent = 0;
  const begun = new Set<number>();

  const headOf = (index: number): Delta[] => {
    const call = reply.toolCalls[index];
    if (!call || begun.has(index)) return [];
    begun.add(index);
    return [{ tool_calls: [{ index, id: call.id, type: 'function', function: { name: call.name, arguments: '' } }] }];
  };

  return {
    next: (tokensVisible) => {
      const share = Math.min(1, Math.max(0, tokensVisible) / reply.tokensVisible);
      const until = share === 1 ? characters : Math.floor(characters * share);
      const deltas: Delta[] = [];
      let start = 0;
      parts.forEach((part, index) => {
        const piece = part.slice(Math.max(0, sent - start), Math.max(0, until - start));
        if (piece !== '') {
          if (reply.toolCalls.length === 0) deltas.push({ content: piece });
          else deltas.push(...headOf(index), { tool_calls: [{ index, function: { arguments: piece } }] });
        }
        start += part.length;
      });
      sent = Math.max(sent, until);
      return deltas;
    },
  };
}
