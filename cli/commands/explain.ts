import { didYouMean, type ErrorCode, errorCatalogue, fail } from '../../compiler/contracts/index.ts';

export async function explain(code: string): Promise<number> {
  const name = code.toUpperCase();
  if (!(name in errorCatalogue)) {
    const guess = didYouMean(name, Object.keys(errorCatalogue));
    fail('DMAS_CLI_USAGE', `there is no error code ${code}`, guess === undefined ? {} : { didYouMean: guess });
  }
  const { title, help, exitCode } = errorCatalogue[name as ErrorCode];
  process.stdout.write(`${name} (exit code ${exitCode})\n  ${title}\n  ${help}\n`);
  return 0;
}
