import type { Problem } from '../contracts/index.ts';
import type { Pass } from './draft.ts';

/**
 * Warns of `let` and `var` at the top of a user module: agents of one process would share it, agents of two would not,
 * so answers would depend on the layout. Looks at the text only: a line that begins with the keyword, outside block
 * comments and template literals. Mutable objects behind a `const` are not found.
 */
export const findSharedState: Pass = (draft) =>
  draft.modules.flatMap(({ path, text }) =>
    blank(text)
      .split('\n')
      .flatMap((line, index): Problem[] => {
        const match = /^(?:export\s+)?(?:let|var)\s+([A-Za-z_$][\w$]*)/.exec(line);
        const name = match?.[1];
        if (match === null || name === undefined) return [];
        return [
          {
            code: 'DMAS_WF_SHARED_STATE',
            severity: 'warning',
            message: `"${name}" is shared by all agents of one process, and by none of different ones`,
            at: { file: path, line: index + 1, column: match[0].length - name.length + 1, length: name.length },
            fix: 'keep it in ctx.session or on a blackboard, or make it a const',
          },
        ];
      }),
  );

/** The text with block comments and template literals made blank, lines kept. */
function blank(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|`(?:\\[\s\S]|[^`\\])*`/g, (found) => found.replace(/[^\n]/g, ' '));
}
