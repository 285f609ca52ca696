import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ChatCall, parseChatCall } from '../../../runtime/llm/server/chat-request.ts';
import { createDeltas } from '../../../runtime/llm/server/deltas.ts';
import { keyFacts, lookupIn } from '../../../runtime/llm/server/facts.ts';
import { countTokens, promptOf } from '../../../runtime/llm/server/prompt.ts';
import { parseReplies } from '../../../runtime/llm/server/replies.ts';
import { type Reply, replyTo } from '../../../runtime/llm/server/reply.ts';

const call = (body: object): ChatCall => parseChatCall(JSON.stringify({ model: 'm', ...body }));
const reply = (body: object, rules: unknown = []): Reply => {
  const parsed = call(body);
  return replyTo(parsed, promptOf(parsed), parseReplies(rules));
};
const afterTools = (ids: readonly [string, string]) => ({
  messages: [
    { role: 'user', content: '{"city":"Oslo"}' },
    {
      role: 'assistant',
      content: null,
      tool_calls: ids.map((id, index) => ({ id, type: 'function', function: { name: ['sky', 'sea'][index], arguments: '{}' } })),
    },
    { role: 'tool', tool_call_id: ids[0], content: '{"cover":"half"}' },
    { role: 'tool', tool_call_id: ids[1], content: '{"waves":{"height":2}}' },
  ],
});

describe('replies of the simulated model', () => {
  it('depend on the content, not on ids', () => {
    const one = reply(afterTools(['a', 'b']));
    expect(reply(afterTools(['x', 'y']))).toEqual(one);
    expect(one.text).toContain('According to sky: cover half. According to sea: height 2.');
  });

  it('vary in length with the content, between 24 and about 96 tokens', () => {
    const lengths = Array.from({ length: 60 }, (_, index) => reply({ messages: [{ role: 'user', content: `q${index}` }] }).tokensVisible);
    expect(new Set(lengths).size).toBeGreaterThan(20);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(24);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(125);
  });

  it('start a new round of tools for a new user message', () => {
    const tools = [{ type: 'function', function: { name: 'sky' } }];
    const messages = [...afterTools(['a', 'b']).messages, { role: 'assistant', content: 'done' }, { role: 'user', content: 'again' }];
    expect(reply({ ...afterTools(['a', 'b']), tools }).toolCalls).toEqual([]);
    expect(reply({ messages, tools }).toolCalls.map((one) => one.name)).toEqual(['sky']);
  });

  it('are scripted by the first rule that matches', () => {
    const rules = [
      { when: { system: 'poet' }, text: 'A rhyme.', delayTokens: 7 },
      {
        when: { user: 'oslo', turn: 2 },
        json: { sky: '{{tool.sky.cover}}', sea: '{{tool.sea.waves}}', to: '{{user.city}}!' },
        tokensOut: 50,
      },
      { text: 'else' },
    ];
    expect(
      reply(
        {
          messages: [
            { role: 'system', content: 'You are a Poet' },
            { role: 'user', content: 'x' },
          ],
        },
        rules,
      ),
    ).toMatchObject({
      text: 'A rhyme.',
      tokensVisible: 2,
      tokensHidden: 7,
    });
    const second = reply(afterTools(['a', 'b']), rules);
    expect(JSON.parse(second.text)).toEqual({ sky: 'half', sea: { height: 2 }, to: 'Oslo!' });
    expect(second.tokensVisible).toBe(50);
    expect(reply({ messages: [{ role: 'user', content: 'Oslo' }] }, rules).text).toBe('else');
  });

  it('call scripted tools once, so that a round of tools ends', () => {
    const tools = [
      { type: 'function', function: { name: 'sky' } },
      { type: 'function', function: { name: 'sea' } },
    ];
    const rules = [{ toolCalls: [{ name: 'sky' }] }];
    expect(reply({ messages: [{ role: 'user', content: 'x' }], tools }, rules).toolCalls).toHaveLength(1);
    expect(reply({ ...afterTools(['a', 'b']), tools }, rules).toolCalls).toHaveLength(0);
  });

  it('end by themselves before a limit, and are cut by a tight one', () => {
    const long = reply(afterTools(['a', 'b']));
    const limited = reply({ ...afterTools(['a', 'b']), max_tokens: 20 });
    expect(countTokens(long.text)).toBeGreaterThan(20);
    expect(limited).toMatchObject({ finish: 'stop' });
    expect(limited.tokensVisible).toBeLessThanOrEqual(20);
    expect(reply({ ...afterTools(['a', 'b']), max_tokens: 3 })).toMatchObject({ finish: 'length', tokensVisible: 3 });
  });

  it('come in pieces that join to the whole, whenever one looks', () => {
    const texts = fc.array(fc.record({ name: fc.constantFrom('a', 'b'), arguments: fc.string({ minLength: 1 }) }), { maxLength: 3 });
    fc.assert(
      fc.property(
        texts,
        fc.string(),
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.integer({ min: -3, max: 40 })),
        (calls, text, tokens, looks) => {
          const toolCalls = calls.map((one, index) => ({ ...one, id: `c${index}` }));
          const deltas = createDeltas({
            text: calls.length > 0 ? '' : text,
            toolCalls,
            finish: 'stop',
            tokensVisible: tokens,
            tokensHidden: 0,
          });
          const pieces = [...looks.map((look) => Math.min(look, tokens)).sort((a, b) => a - b), tokens].flatMap((at) => deltas.next(at));
          if (calls.length === 0) expect(pieces.map((piece) => piece.content).join('')).toBe(text);
          const joined = toolCalls.map(() => '');
          const ids: string[] = [];
          for (const delta of pieces.flatMap((piece) => piece.tool_calls ?? [])) {
            joined[delta.index] += delta.function.arguments;
            if (delta.id) ids.push(delta.id);
          }
          expect(joined).toEqual(toolCalls.map((one) => one.arguments));
          expect(ids).toEqual(toolCalls.map((one) => one.id));
        },
      ),
    );
  });
});

describe('facts in a conversation', () => {
  it('are found by name in JSON, in JSON inside text and in lines', () => {
    expect(lookupIn(['{"trip":{"toCity":"Oslo"},"to_city":"Bergen"}'])('to-city')).toEqual(['Bergen', 'Oslo']);
    expect(lookupIn(['Plan this: {"city":"Oslo"} please'])('city')).toEqual(['Oslo']);
    expect(lookupIn(['City: Oslo\nDays: 3'])('days')).toEqual(['3']);
  });

  it('are told in short', () => {
    expect(keyFacts('{"a":1,"list":[{"name":"x"},{"name":"y"}]}')).toBe('a 1, name x, name y');
    expect(keyFacts('plain   text')).toBe('plain text');
  });
});
