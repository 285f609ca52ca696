import { describe, expect, it } from 'vitest';
import { allInOne, fromPartition, onePerComponent } from '../../compiler/contracts/index.ts';
import { explain } from '../../optimizer/explain.ts';
import { createSimulator } from '../../optimizer/predict/simulated.ts';
import {
  call,
  defaults,
  grpc,
  inputOf,
  modelCall,
  poisson,
  prices,
  pricing,
  profileOf,
  skeleton,
  visit,
  workflowOf,
} from './synthetic-profile.ts';

const workflow = workflowOf({ front: {}, chatty: {}, slow: {} }, [
  ['front', 'chatty'],
  ['front', 'slow'],
]);
const root = visit('front', 1, [
  call(visit('chatty', 1), 2048, 2048),
  call(visit('chatty', 1), 2048, 2048),
  call(visit('slow', 0, [], 80)),
  modelCall(60),
]);
const profile = { ...profileOf([skeleton(root)]), models: { main: {} as never } };
const simulator = createSimulator(inputOf(workflow, profile, poisson(5), { requests: 600 }));
const explainTo = (winner: Parameters<typeof explain>[0]['winner'], baseline = onePerComponent(workflow, defaults)) =>
  explain({ baseline, winner, profile, workflow, prices, pricing, simulator });

describe('explain', () => {
  it('names the hops that went, with their time and bytes, and the processes that went', () => {
    const { hops, sentences, usdPerHour } = explainTo(fromPartition(workflow, [['front', 'chatty'], ['slow']], defaults));
    expect(hops).toEqual([
      { edge: 'front->chatty', protocol: 'http-json', change: 'gone', callsPerRequest: 2, msPerRequest: 2.08, bytesPerRequest: 8192 },
    ]);
    expect(sentences[0]).toContain('front->chatty (2.08 ms, 8.0 KB)');
    expect(sentences.some((sentence) => sentence.startsWith('3 processes become 2'))).toBe(true);
    expect(usdPerHour.before / usdPerHour.after).toBeCloseTo(1.5, 9);
  });

  it('names new hops and changed protocols', () => {
    const split = onePerComponent(workflow, defaults);
    expect(explainTo(split, allInOne(workflow, defaults)).sentences[0]).toContain('New hops between processes: front->chatty, front->slow');
    const other = { ...split, channels: { ...split.channels, 'front->slow': grpc } };
    expect(explainTo(other).hops.map((hop) => hop.change)).toEqual(['other protocol']);
  });

  it('says what to make faster: the branch that is waited for, not the one beside it', () => {
    const { sensitivities } = explainTo(allInOne(workflow, defaults));
    expect(sensitivities[0]?.name).toBe('slow');
    expect(sensitivities[0]?.latencySavingShare ?? 0).toBeGreaterThan(0.2);
    const model = sensitivities.find((entry) => entry.kind === 'model');
    expect(model?.latencySavingShare ?? 1).toBeLessThan(0.01);
  });

  it('says nothing where nothing changed', () => {
    const same = onePerComponent(workflow, defaults);
    const { hops, sentences } = explainTo(same);
    expect(hops).toEqual([]);
    expect(sentences.every((sentence) => sentence.startsWith('Making'))).toBe(true);
  });
});
