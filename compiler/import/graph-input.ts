import type { Json } from '../contracts/index.ts';

/** A graph whose code runs as it is. */
export interface FoundGraph {
  readonly specifier: string;
  readonly id: string;
  readonly input: GraphInput;
}

/** An input a graph probably takes, and why. */
export interface GraphInput {
  readonly example: Json;
  /** A sentence without its full stop. */
  readonly because: string;
}

/** What prebuilt states and agents of LangGraph.js are called that hold a list `messages`. */
const messageStates = /\b(MessagesAnnotation|MessagesZodState|MessagesZodMeta|MessagesValue|createReactAgent|createAgent)\b/;
/** The first key of a state that holds text, declared as an annotation or with zod. */
const textKey = /(?:Annotation\.Root|z\.object|StateSchema)\(\{\s*(?:[\w$]+:\s*[^,]+,\s*)*?([\w$]+):\s*(?:Annotation<string>|z\.string\()/;
const placeholder = 'put here what users really send';

/**
 * An example input from the text of a graph's module, which is not loaded: `import` runs no code of anybody. A guess that
 * the draft asks about.
 */
export function guessGraphInput(code: string): GraphInput {
  if (messageStates.test(code) || /\bmessages:\s*Annotation\b/.test(code)) {
    return {
      example: { messages: [{ role: 'user', content: placeholder }] },
      because: 'Its code has a state of messages, so one message of a user is sent',
    };
  }
  const key = textKey.exec(code)?.[1];
  if (key !== undefined) return { example: { [key]: placeholder }, because: `"${key}" is the first text in its state, so that is sent` };
  return {
    example: { messages: [{ role: 'user', content: placeholder }] },
    because: 'Its code does not tell at a glance, so one message of a user is sent: put the keys of its state there',
  };
}
