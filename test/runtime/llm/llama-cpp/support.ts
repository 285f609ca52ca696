import { optionalPackageUrl } from '../../../../runtime/optional-package.ts';

const install = 'npm i node-llama-cpp @node-llama-cpp/linux-x64 --omit=optional';

/** The engine is an optional package; without it what needs it is left out, with a word on how to get it. */
export const hasLlama = optionalPackageUrl('node-llama-cpp') !== undefined;
if (!hasLlama) process.stderr.write(`tests on llama.cpp are skipped: node-llama-cpp is not installed (${install})\n`);
