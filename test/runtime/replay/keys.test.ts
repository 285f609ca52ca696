import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from '../../../compiler/contracts/index.ts';
import { chatKeys, valueKeys } from '../../../runtime/replay/keys.ts';
import { createScrubber } from '../../../runtime/replay/scrub.ts';

const monday = Date.parse('2026-03-02T10:00:00Z');
const nextYear = Date.parse('2027-06-10T22:30:00Z');
const rules = (nowMs = monday, ignore: readonly string[] = []) => ({ scrub: createScrubber({}), ignore, nowMs });
const user = (content: string): Json => ({ role: 'user', content });
const keys = (messages: readonly Json[], nowMs = monday, more: { readonly [key: string]: Json } = {}) =>
  chatKeys('main', { model: 'gpt', messages, ...more }, rules(nowMs));
const saying = (text: string, nowMs = monday) => keys([user(text)], nowMs);

describe('keys of a model request', () => {
  it.each([
    ['an ISO time', 'It is 2026-03-02T10:00:01.123Z.', 'It is 2027-06-10T22:30:59Z.'],
    ['an ISO time with a zone', 'Now: 2026-03-02 11:00:01+01:00!', 'Now: 2027-06-10 15:30:00-07:00!'],
    ['a day in words', 'Today is Monday, March 2, 2026.', 'Today is Thursday, June 10, 2027.'],
    ['a day, European', 'Heute: 2 March 2026 10:00', 'Heute: 10 June 2027 22:30'],
    ['a day by date alone', 'Date 2026-03-02 ok', 'Date 2027-06-10 ok'],
    ['epoch seconds', `t=${monday / 1000};`, `t=${nextYear / 1000};`],
    ['epoch milliseconds', `at ${monday + 17} ms`, `at ${nextYear + 9_999} ms`],
    ['a UUID', 'Request 2f1c8a4e-3b5d-4c6e-8f70-112233445566', 'Request AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee'],
    ['ids of calls and requests', 'see call_Ab12Cd34Ef56 and req-77aa88bb99cc', 'see call_zz98yy76xx54 and req-1234567890ab'],
  ])('do not change with %s', (_, then, now) => {
    const [before, after] = [saying(then, monday), saying(now, nextYear)];
    expect(after.near).toBe(before.near);
    expect(after.exact).not.toBe(before.exact);
  });

  it('keep a time that is not now: another day asked about is another question', () => {
    const [first, second] = [saying('Book a table for 2026-12-24'), saying('Book a table for 2026-12-31')];
    expect(first.near).not.toBe(second.near);
    expect(first.loose).toBe(second.loose);
  });

  it('keep numbers that are no times, and prices, versions and telephone numbers', () => {
    for (const [a, b] of [
      ['12345678901', '12345678902'],
      ['v1.2.3', 'v1.2.4'],
      ['EUR 1700', 'EUR 1701'],
      ['+4712345678', '+4712345679'],
    ] as const)
      expect(saying(a).loose, a).not.toBe(saying(b).loose);
  });

  it('do not change with how the reply is sent or drawn, nor with the name on the wire', () => {
    const plain = keys([user('Hi')]);
    for (const more of [
      { stream: true, stream_options: { include_usage: true } },
      { temperature: 0.7, seed: 3 },
      { user: 'me', metadata: { run: 'x' } },
      { tools: [] },
    ])
      expect(keys([user('Hi')], monday, more)).toEqual(plain);
    expect(chatKeys('main', { model: 'another', messages: [user('Hi')] }, rules())).toEqual(plain);
    expect(chatKeys('large', { model: 'gpt', messages: [user('Hi')] }, rules())).not.toEqual(plain);
    expect(keys([user('Hi')], monday, { max_tokens: 5 })).toEqual(keys([user('Hi')], monday, { max_completion_tokens: 5 }));
    expect(keys([user('Hi')], monday, { max_tokens: 5 })).not.toEqual(plain);
    expect(keys([{ role: 'developer', content: 'x' }])).toEqual(keys([{ role: 'system', content: [{ type: 'text', text: 'x' }] }]));
  });

  it('leave out fields the scenario names', () => {
    const named = (value: string) => chatKeys('main', { messages: [], tenant: value }, rules(monday, ['tenant']));
    expect(named('a')).toEqual(named('b'));
    expect(chatKeys('main', { messages: [], tenant: 'a' }, rules())).not.toEqual(chatKeys('main', { messages: [], tenant: 'b' }, rules()));
    const tool = (value: string, ignore: readonly string[]) => valueKeys('tool', 'find', { q: 'x', tenant: value }, rules(monday, ignore));
    expect(tool('a', ['tenant'])).toEqual(tool('b', ['tenant']));
    expect(tool('a', [])).not.toEqual(tool('b', []));
  });

  it('do not depend on the order of parallel calls and results, on their ids, or on the order of members', () => {
    const result = fc.record({ name: fc.constantFrom('find', 'weigh', 'price'), given: fc.jsonValue(), answer: fc.string() });
    const conversation = (
      results: readonly { name: string; given: unknown; answer: string }[],
      ids: readonly string[],
      order: readonly number[],
      reversed: boolean,
    ) => {
      const calls = results.map(({ name, given }, index) => ({
        id: ids[index] ?? '',
        type: 'function',
        function: { name, arguments: JSON.stringify(given) },
      }));
      const answers = order.map((index) => ({ role: 'tool', tool_call_id: ids[index] ?? '', content: results[index]?.answer ?? '' }));
      const messages = [
        user('Go'),
        { role: 'assistant', content: null, tool_calls: reversed ? [...calls].reverse() : calls },
        ...answers,
        user('And?'),
      ];
      return keys(messages as Json[]);
    };
    fc.assert(
      fc.property(
        fc.array(result, { minLength: 1, maxLength: 5 }).chain((results) => {
          const order = results.map((_, index) => index);
          return fc.tuple(fc.constant(results), fc.shuffledSubarray(order, { minLength: order.length }), fc.boolean());
        }),
        ([results, order, reversed]) => {
          const ids = (prefix: string) => results.map((_, index) => `${prefix}${index}`);
          const straight = conversation(
            results,
            ids('call_a'),
            results.map((_, index) => index),
            false,
          );
          expect(conversation(results, ids('x'), order, reversed)).toEqual(straight);
        },
      ),
    );
  });

  it('tell which result belongs to which call', () => {
    const two = (first: string, second: string) =>
      keys([
        {
          role: 'assistant',
          content: '',
          tool_calls: [
            { id: '1', function: { name: 'find', arguments: '{"of":"a"}' } },
            { id: '2', function: { name: 'find', arguments: '{"of":"b"}' } },
          ],
        },
        { role: 'tool', tool_call_id: '1', content: first },
        { role: 'tool', tool_call_id: '2', content: second },
      ]);
    expect(two('x', 'y').loose).not.toBe(two('y', 'x').loose);
  });

  it('are the same with any secret in its place', () => {
    const withKey = (key: string) =>
      chatKeys('main', { messages: [user(`Use ${key}`)] }, { ...rules(), scrub: createScrubber({ MY_KEY: key }) });
    expect(withKey('swordfish-1')).toEqual(withKey('hunter22222'));
  });
});
