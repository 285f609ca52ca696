import { readFileSync } from 'node:fs';
import * as messages from '@langchain/core/messages';
import * as testing from '@langchain/core/utils/testing';
import * as lib from '@langchain/langgraph';
import { describe, expect, it } from 'vitest';
import { isSupported } from '../../compiler/frontends/langgraph/fields.ts';
import { langgraphContract } from './langgraph-suite.ts';

/**
 * Every installed version of LangGraph.js, by the name of its package. A second one is an alias in package.json
 * (`"langgraph-next": "npm:@langchain/langgraph@next"`) and a line here.
 */
const versions = { '@langchain/langgraph': { lib, messages, testing } };

const versionOf = (name: string): string => {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
};

describe.each(Object.entries(versions))('%s', (name, version) => {
  it(`${versionOf(name)} is a supported version`, () => {
    expect(isSupported(versionOf(name))).toBe(true);
    expect(isSupported('1.3.9')).toBe(false);
    expect(isSupported('2.0.0')).toBe(false);
  });
  langgraphContract(version);
});
