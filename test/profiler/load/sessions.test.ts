import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SessionArrivals } from '../../../profiler/load/job.ts';
import { compareSessions } from '../../../profiler/load/session-compare.ts';
import { drawSessions } from '../../../profiler/load/session-draw.ts';
import { readSessions, type SessionScale, type TurnFacts } from '../../../profiler/load/session-file.ts';
import { fitSessions, sessionFitSchema, spearman } from '../../../profiler/load/session-fit.ts';
import { type AgentSession, parseSessionLog } from '../../../profiler/load/session-log.ts';
import { meanTurns, sessionStarts } from '../../../profiler/load/sessions.ts';
import { sharedData } from '../analyze/foreign/fixture.ts';

const recorded = sharedData('agent-sessions', 'sessions.jsonl');

const scripts = fc.array(
  fc.array(fc.nat(5000), { minLength: 1, maxLength: 12 }).map((thinkMs) => ({ firstInput: 0, thinkMs })),
  { minLength: 1, maxLength: 6 },
);
const sessions = fc.record({
  process: fc.constant('sessions' as const),
  perSecond: fc.double({ min: 0.2, max: 20, noNaN: true }),
  scripts,
});

describe('the start of sessions', () => {
  it('is the same for the same seed, inside the block, with numbers of their own for all turns', () => {
    fc.assert(
      fc.property(sessions, fc.nat(), (arrivals, seed) => {
        const starts = sessionStarts(arrivals, 8000, seed);
        expect(starts).toEqual(sessionStarts(arrivals, 8000, seed));
        const numbers = new Set<number>();
        for (const { atMs, firstTurn, script, firstIndex } of starts) {
          expect(atMs).toBeGreaterThanOrEqual(0);
          expect(atMs).toBeLessThan(8000);
          for (let turn = firstTurn; turn < script.thinkMs.length; turn++) {
            expect(numbers.has(firstIndex + turn)).toBe(false);
            numbers.add(firstIndex + turn);
          }
        }
      }),
    );
  });

  it('offers, with answers in no time, the same number of turns at every moment of the block', () => {
    const arrivals: SessionArrivals = {
      process: 'sessions',
      perSecond: 5,
      scripts: [
        { firstInput: 0, thinkMs: [0, 4000, 4000, 4000, 4000] },
        { firstInput: 5, thinkMs: [0, 20_000] },
      ],
    };
    const counts = [0, 0, 0, 0];
    const blocks = 60;
    for (let seed = 0; seed < blocks; seed++)
      for (const { atMs, firstTurn, script } of sessionStarts(arrivals, 8000, seed)) {
        let at = atMs;
        for (let turn = firstTurn; turn < script.thinkMs.length && at < 8000; turn++) {
          counts[Math.floor(at / 2000)] = (counts[Math.floor(at / 2000)] ?? 0) + 1;
          at += script.thinkMs[turn + 1] ?? 0;
        }
      }
    // 35 turns per quarter and block: a standard error of 2 to 3 % of the mean over 60 blocks.
    for (const count of counts) expect(count / blocks / (5 * meanTurns(arrivals) * 2)).toBeCloseTo(1, 0.8);
  });
});

/** Sessions whose parameters are known. */
const made = (count: number): AgentSession[] =>
  Array.from({ length: count }, (_, k) => ({
    sharedTokens: 5000,
    turns: Array.from({ length: 5 + (k % 20) }, (_, turn) => ({
      thinkMs: turn === 0 ? 0 : 1000 * (1 + ((k + turn) % 7)),
      byUser: turn % 4 === 0,
      tokensIn: 8000 + 200 * (k % 30) + turn * (300 + 100),
      tokensOut: 100,
      epoch: 0,
      subagents: [],
    })),
  }));

describe('a fit to sessions', () => {
  it('draws sessions like those it was fitted to', () => {
    const source = made(200);
    const fit = fitSessions(source, 'made');
    expect(sessionFitSchema.parse(JSON.parse(JSON.stringify(fit)))).toEqual(fit);
    const drawn = drawSessions(fit, 400, 3);
    expect(drawn.slice(0, 20)).toEqual(drawSessions(fit, 20, 3));
    expect(drawn.slice(0, 20)).not.toEqual(drawSessions(fit, 20, 4));
    for (const { quantity, ksDistance } of compareSessions(source, drawn)) {
      // A step where all are the same is met or missed by one token.
      if (!/growth|cached|seen/.test(quantity)) expect(ksDistance, quantity).toBeLessThan(0.12);
    }
    expect(fit.user.share).toBeCloseTo(0.2, 1);
    for (const { turns, sharedTokens } of drawn)
      for (const [i, turn] of turns.entries()) {
        expect(turn.tokensIn).toBeGreaterThanOrEqual(sharedTokens);
        expect(turn.epoch).toBeGreaterThanOrEqual(turns[i - 1]?.epoch ?? 0);
      }
  });

  it('keeps that long sessions begin short', () => {
    const source = made(200).map((session, k) => ({
      ...session,
      turns: session.turns.map((turn) => ({ ...turn, tokensIn: turn.tokensIn + 3000 * (20 - (k % 20)) })),
    }));
    const drawn = drawSessions(fitSessions(source, 'made'), 400, 1);
    const link = (list: readonly AgentSession[]) =>
      spearman(
        list.map((session) => session.turns.length),
        list.map((session) => session.turns[0]?.tokensIn ?? 0),
      );
    expect(link(source)).toBeLessThan(-0.8);
    expect(Math.abs(link(drawn) - link(source))).toBeLessThan(0.15);
  });

  it('needs some sessions', () => {
    expect(() => fitSessions(made(3), 'made')).toThrow('3 sessions of two turns or more are too few');
  });

  it.skipIf(recorded === null)('is near the recorded sessions of coding agents (needs shared/data beside the checkout)', () => {
    const { sessions: real, problems } = parseSessionLog(readFileSync(recorded ?? '', 'utf8'));
    expect(problems).toEqual([]);
    const fit = fitSessions(real, 'sessions.jsonl');
    expect(fit.observed).toEqual({ sessions: 317, turns: 16_372, subagents: 14 });
    const far = compareSessions(real, drawSessions(fit, 1268, 1));
    const distance = Object.fromEntries(far.map(({ quantity, ksDistance }) => [quantity, ksDistance]));
    for (const [quantity, most] of Object.entries({
      'turns of a session': 0.06,
      'first prompt (tokens)': 0.06,
      'growth per turn (tokens)': 0.06,
      'reply (tokens)': 0.03,
      'time a tool took (ms)': 0.06,
      'time a person took (ms)': 0.05,
      'every prompt (tokens)': 0.12,
      'growth of a session (tokens)': 0.2,
    }))
      expect(distance[quantity], quantity).toBeLessThan(most);
  });
});

const scale: SessionScale = { perSecond: 1, count: 8, thinkScale: 0.5, tokenScale: 0.1, seed: 1 };
const facts = (read: ReturnType<typeof readSessions>) => ('inputs' in read ? (read.inputs as readonly TurnFacts[]) : []);

describe('a file of sessions', () => {
  const log = JSON.stringify({
    system_tokens: 1000,
    tool_tokens: 3000,
    requests: [
      { type: 'n', in: 5000, out: 100, think_time: 0, input_types: ['text'], cached_blocks: 0, blocks: 78 },
      {
        type: 'subagent',
        requests: [
          { in: 900, out: 50 },
          { in: 1500, out: 20 },
        ],
      },
      { type: 'n', in: 6000, out: 300, think_time: 4, input_types: ['tool_result'], cached_blocks: 78, blocks: 93 },
      { type: 's', in: 2000, out: 10, think_time: 60, input_types: ['text'], cached_blocks: 3, blocks: 31 },
    ],
  });

  it('of recorded sessions becomes turns, scaled', () => {
    const read = readSessions(`${log}\n`, scale);
    expect(read).toMatchObject({ arrivals: { scripts: [{ firstInput: 0, thinkMs: [0, 2000, 30_000] }] } });
    expect(facts(read)).toMatchObject([
      {
        turn: 0,
        byUser: true,
        promptTokens: 500,
        sharedTokens: 400,
        outputTokens: 10,
        epoch: 0,
        subagents: [{ steps: [{ promptTokens: 90 }, { promptTokens: 150 }] }],
      },
      { turn: 1, byUser: false, promptTokens: 600, outputTokens: 30, epoch: 0, subagents: [] },
      { turn: 2, byUser: true, promptTokens: 400, epoch: 1 },
    ]);
  });

  it('of a fit becomes drawn sessions, within what is asked', () => {
    const fit = JSON.stringify(fitSessions(made(100), 'made'));
    const read = readSessions(fit, { ...scale, maxTurns: 6, maxTokens: 900, subagentShare: 0 });
    expect(read).toEqual(readSessions(fit, { ...scale, maxTurns: 6, maxTokens: 900, subagentShare: 0 }));
    expect('arrivals' in read && read.arrivals.scripts.length).toBe(8);
    for (const turn of facts(read)) {
      expect(turn.promptTokens).toBeLessThanOrEqual(900);
      expect(turn.turn).toBeLessThan(6);
      expect(turn.subagents).toEqual([]);
    }
  });

  it('may be written out', () => {
    const text = '{"turns":[{"input":{"a":1}},{"thinkMs":100,"input":2}]}\n{"turns":[{"input":3}]}\n';
    expect(readSessions(text, scale)).toEqual({
      arrivals: {
        process: 'sessions',
        perSecond: 1,
        scripts: [
          { firstInput: 0, thinkMs: [0, 50] },
          { firstInput: 2, thinkMs: [0] },
        ],
      },
      inputs: [{ a: 1 }, 2, 3],
    });
  });

  it('that is garbage is told with its line', () => {
    expect(readSessions('', scale)).toEqual({ problems: [{ message: 'has no session' }] });
    expect(readSessions(`${log}\n{"requests":[{"in":"much"}]}\n`, scale)).toEqual({
      problems: [{ line: 2, message: 'requests[0].in is not a number from 0 up' }],
    });
    expect(readSessions('{"turns":[{"input":1}]}\n{"turns":[{"thinkMs":-1,"input":1}]}', scale)).toEqual({
      problems: [{ line: 2, message: 'turns[0].thinkMs is not a number from 0 up' }],
    });
    expect(readSessions('{"kind":"agent-sessions"}', scale)).toMatchObject({
      problems: [{ message: expect.stringContaining('schemaVersion') }, {}, {}, {}, {}],
    });
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const read = readSessions(text, scale);
        expect('problems' in read ? read.problems.length : read.arrivals.scripts.length).toBeGreaterThan(0);
      }),
    );
  });
});
