import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../../runtime/llm/backend.ts';
import { prefixAttribute, promptParts, promptPartsOfBody } from '../../../runtime/llm/prompt-parts.ts';

const message = fc.record({ role: fc.constantFrom('system', 'user', 'assistant'), content: fc.string({ maxLength: 40 }) });
const messages = fc.array(message, { minLength: 1, maxLength: 80 }) as fc.Arbitrary<ChatMessage[]>;
const entries = (text: string) =>
  text.split(',').map((entry) => {
    const [key = '', tokens = ''] = entry.split(':');
    return { key, tokens: Number(tokens) };
  });
const prefixesOf = (list: readonly ChatMessage[], tokensIn = 1_000) =>
  entries(prefixAttribute(promptParts({ messages: list, tools: [] }), tokensIn));

describe('prefixes of a prompt', () => {
  it('grow up to all its tokens, at most 32 of them, the first and the last kept', () => {
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 100_000 }), (list, tokensIn) => {
        const found = prefixesOf(list, tokensIn);
        expect(found.length).toBe(Math.min(32, list.length));
        expect(found.at(-1)?.tokens).toBe(tokensIn);
        expect(found.every(({ tokens }, at) => tokens >= (found[at - 1]?.tokens ?? 0))).toBe(true);
      }),
    );
  });

  it('are equal as far as two conversations are equal, and no further', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 7 }), message, message, (head, a, b) => {
        fc.pre(a.role !== b.role || a.content !== b.content);
        const [left, right] = [a, b].map((last) => prefixesOf([...head, last] as ChatMessage[]).map(({ key }) => key));
        expect(left?.slice(0, -1)).toEqual(right?.slice(0, -1));
        expect(left?.at(-1)).not.toBe(right?.at(-1));
      }),
    );
  });

  it('depend on tools and calls, but on no id, and hold one boundary per message', () => {
    const called = (id: string, name = 'search'): ChatMessage[] => [
      { role: 'user', content: 'find' },
      { role: 'assistant', content: '', toolCalls: [{ id, name, arguments: '{}' }] },
      { role: 'tool', content: 'found', toolCallId: id },
    ];
    const keys = (list: readonly ChatMessage[]) => prefixesOf(list).map(({ key }) => key);
    expect(keys(called('a'))).toEqual(keys(called('b')));
    expect(keys(called('a'))[1]).not.toBe(keys(called('a', 'read'))[1]);
    const tools = [{ name: 'search', description: '', parameters: {} }];
    expect(promptParts({ messages: called('a'), tools })).toHaveLength(4);
    expect(keys([{ role: 'user', content: 'ab' }])).not.toEqual(
      keys([
        { role: 'user', content: 'a' },
        { role: 'user', content: 'b' },
      ]).slice(-1),
    );
  });

  it('are those of any client’s request, too', () => {
    const call = (id: string) => ({ id, type: 'function', function: { name: 'search', arguments: '{}' } });
    const body = (id: string) => ({
      messages: [
        { role: 'user', content: 'find' },
        { role: 'assistant', content: null, tool_calls: [call(id)] },
        { role: 'tool', content: 'found', tool_call_id: id },
      ],
      tools: [{ type: 'function', function: { name: 'search' } }],
    });
    expect(promptPartsOfBody(body('a'))).toHaveLength(4);
    expect(promptPartsOfBody(body('a'))).toEqual(promptPartsOfBody(body('b')));
    expect(promptPartsOfBody({ input: 'an embedding' })).toEqual([]);
  });
});
