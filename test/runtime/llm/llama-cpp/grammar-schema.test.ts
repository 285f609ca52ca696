import { describe, expect, it } from 'vitest';
import { grammarSchema } from '../../../../runtime/llm/llama-cpp/grammar-schema.ts';

const bounds = { stringLength: 10, listLength: 2 };
const of = (schema: Parameters<typeof grammarSchema>[0]) => grammarSchema(schema, bounds);

describe('grammarSchema', () => {
  it('bounds what has no bounds and keeps those that are there', () => {
    expect(of({ type: 'string' })).toEqual({ type: 'string', minLength: 0, maxLength: 10 });
    expect(of({ type: 'string', minLength: 12, maxLength: 40 })).toEqual({ type: 'string', minLength: 12, maxLength: 12 });
    expect(of({ type: 'array', items: { type: 'boolean' }, minItems: 1 })).toEqual({
      type: 'array',
      items: { type: 'boolean' },
      minItems: 1,
      maxItems: 2,
    });
    expect(of({ type: 'integer' })).toEqual({ type: 'integer' });
  });

  it('turns ranges of numbers into choices within them', () => {
    expect(of({ type: 'integer', minimum: 1, maximum: 3 })).toEqual({ enum: [1, 2, 3] });
    expect(of({ type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 3 })).toEqual({ enum: [1, 2] });
    expect(of({ type: 'integer', maximum: 2 })).toEqual({ enum: [0, 1, 2] });
  });

  it('fills in references, alternatives and parts', () => {
    const schema = {
      $defs: { city: { enum: ['Oslo', 'Rome'] } },
      type: 'object',
      properties: {
        city: { $ref: '#/$defs/city' },
        day: { anyOf: [{ type: 'null' }, { const: 3 }] },
        both: { allOf: [{ type: 'string' }, { maxLength: 4 }] },
        left: { type: 'string' },
      },
      required: ['city', 'day', 'both'],
    };
    expect(of(schema)).toEqual({
      type: 'object',
      properties: {
        city: { enum: ['Oslo', 'Rome'] },
        day: { oneOf: [{ type: 'null' }, { const: 3 }] },
        both: { type: 'string', minLength: 0, maxLength: 4 },
      },
    });
  });

  it('ends a schema that holds itself', () => {
    const schema = { $defs: { tree: { type: 'object', properties: { child: { $ref: '#/$defs/tree' } } } }, $ref: '#/$defs/tree' };
    expect(JSON.stringify(of(schema))).toContain('"null"');
  });
});
