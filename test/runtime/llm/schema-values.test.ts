import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { JsonSchema } from '../../../compiler/contracts/index.ts';
import { lookupIn } from '../../../runtime/llm/server/facts.ts';
import { conforms } from '../../../runtime/llm/server/json-schema.ts';
import { sampleOf } from '../../../runtime/llm/server/pattern-sample.ts';
import { valueFor } from '../../../runtime/llm/server/schema-values.ts';

const ajv = new Ajv2020({ strict: false, validateFormats: false });
const value = (schema: JsonSchema, text = '', seed = 's') => valueFor(schema, { known: lookupIn([text]), text, seed });
const schemaOf = (type: z.ZodType) => z.toJSONSchema(type, { target: 'draft-2020-12', io: 'input' }) as JsonSchema;

const name = fc.constantFrom('city', 'days', 'query', 'limit', 'note', 'when');
const leaf: fc.Arbitrary<z.ZodType> = fc.oneof(
  fc.constantFrom<z.ZodType>(
    z.string(),
    z.string().min(3).max(5),
    z.boolean(),
    z.null(),
    z.enum(['a', 'b']),
    z.literal(7),
    z.email(),
    z.uuid(),
    z.iso.date(),
    z.iso.datetime(),
    z.string().regex(/^[A-Z]{3}-\d{2,4}$/),
    z.number().gt(0).lt(1),
    z.number().min(-3).max(-2),
    z.number().multipleOf(0.25).min(1),
    z.int().max(-5),
    z.int().positive(),
  ),
  fc.tuple(fc.integer({ min: -50, max: 50 }), fc.nat(40)).map(([low, size]) =>
    z
      .int()
      .min(low)
      .max(low + size),
  ),
);
const { schema: anyType } = fc.letrec<{ schema: z.ZodType }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.dictionary(name, tie('schema'), { maxKeys: 4 }).map((shape) => z.object(shape)),
    fc.dictionary(name, tie('schema'), { maxKeys: 4 }).map((shape) => z.strictObject(shape).partial()),
    tie('schema').map((item) => z.array(item).min(2).max(4)),
    tie('schema').map((item) => item.nullable()),
    fc.tuple(tie('schema'), tie('schema')).map((pair) => z.tuple(pair)),
    fc.tuple(tie('schema'), tie('schema')).map((pair) => z.union(pair)),
  ),
}));

describe('values for a JSON Schema', () => {
  it('fit the schema, whatever the conversation says', () => {
    const texts = fc.constantFrom('', '{"city":"Oslo","days":"3","limit":-1,"query":["x"],"when":{"note":null}}', 'just words');
    fc.assert(
      fc.property(anyType, texts, fc.string(), (type, text, seed) => {
        const schema = schemaOf(type);
        const made = value(schema, text, seed);
        const valid = ajv.compile(schema);
        expect(valid(made), `${JSON.stringify(schema)} → ${JSON.stringify(made)}: ${ajv.errorsText(valid.errors)}`).toBe(true);
        expect(value(schema, text, seed)).toEqual(made);
      }),
      { numRuns: 400 },
    );
  });

  it('come from the conversation where a name matches and the value fits', () => {
    const schema = schemaOf(z.object({ city: z.string(), days: z.int().max(10), sort: z.enum(['up', 'down']), page: z.int().optional() }));
    expect(value(schema, '{"city":"Oslo","days":"4","sort":"down"}')).toEqual({ city: 'Oslo', days: 4, sort: 'down' });
    expect(value(schema, '{"city":"Oslo","days":44,"sort":"sideways","page":2}')).toMatchObject({ city: 'Oslo', sort: 'up', page: 2 });
    expect(value(schemaOf(z.object({ query: z.string() })), 'museums nearby')).toEqual({ query: 'museums nearby' });
  });

  it('come from defaults, references and merged parts', () => {
    expect(value({ type: 'object', properties: { n: { type: 'integer', default: 3 } }, required: ['n'] })).toEqual({ n: 3 });
    expect(value({ $ref: '#/$defs/a', $defs: { a: { const: 5 } } })).toBe(5);
    const parts = {
      allOf: [
        { properties: { a: { const: 1 } }, required: ['a'] },
        { properties: { b: { const: 2 } }, required: ['b'] },
      ],
    };
    expect(value(parts)).toEqual({ a: 1, b: 2 });
  });

  it('end for schemas that contain themselves', () => {
    const tree = { type: 'object', properties: { child: { $ref: '#' } }, required: ['child'] };
    expect(JSON.stringify(value(tree)).length).toBeLessThan(1000);
  });

  it('agree with a full validator on what fits', () => {
    // The validator reads a quotient from its text, so it takes 2.5e20 for no multiple of 0.25 (the text of 1e21 starts with 1).
    const sane = fc.jsonValue({ maxDepth: 2 }).filter((json) => !JSON.stringify(json).match(/e\+|\d{16,}/));
    fc.assert(
      fc.property(anyType, sane, (type, json) => {
        const schema = schemaOf(type);
        expect(conforms(json as never, schema)).toBe(ajv.compile(schema)(json));
      }),
      { numRuns: 300 },
    );
  });
});

describe('texts for a pattern', () => {
  it.each(['^[A-Z]{3}$', '^\\d{4}-\\d{2}$', '^(?:yes|no)$', '^a+b*c?$', '^[^ab]x\\.y$', 'mid'])('match %s', (pattern) => {
    expect(sampleOf(pattern)).toMatch(new RegExp(pattern, 'u'));
  });
  it.each(['(?=a)b', '(a)\\1', '('])('are not tried for %s', (pattern) => {
    expect(sampleOf(pattern)).toBeUndefined();
  });
});
