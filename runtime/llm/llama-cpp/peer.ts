import { fail } from '../../../compiler/contracts/index.ts';
import { optionalPackageUrl } from '../../optional-package.ts';

/**
 * What we use of node-llama-cpp 3.21. Written down here because the package is optional: without it our own code must still compile.
 */
export interface LlamaPackage {
  getLlama(options: {
    readonly gpu: false;
    readonly build: 'never';
    readonly skipDownload: true;
    readonly maxThreads: number;
    readonly logLevel: 'error';
  }): Promise<Llama>;
}

export interface Llama {
  loadModel(options: { readonly modelPath: string }): Promise<LlamaModel>;
  createGrammarForJsonSchema(schema: unknown): Promise<LlamaGrammar>;
  dispose(): Promise<void>;
}

export type Token = number;

export interface LlamaModel {
  tokenize(text: string, specialTokens?: boolean): Token[];
  detokenize(tokens: readonly Token[], specialTokens?: boolean, lastTokens?: readonly Token[]): string;
  isEogToken(token: Token): boolean;
  createContext(options: {
    readonly contextSize: number;
    readonly sequences: number;
    readonly batchSize: number;
    readonly threads: number;
    readonly failedCreationRemedy: false;
  }): Promise<LlamaContext>;
  readonly tokenizer: unknown;
}

export interface LlamaContext {
  getSequence(): LlamaSequence;
  readonly contextSize: number;
  readonly batchSize: number;
}

export interface LlamaSequence {
  /** What its part of the KV cache holds. */
  readonly contextTokens: readonly Token[];
  readonly nextTokenIndex: number;
  eraseContextTokenRanges(ranges: { readonly start: number; readonly end: number }[]): Promise<void>;
  evaluate(tokens: readonly Token[], options: EvaluateOptions): AsyncGenerator<Token, void, undefined | Token>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly Token[]): Promise<void>;
}

export interface EvaluateOptions {
  readonly temperature: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly yieldEogToken: true;
  readonly grammarEvaluationState?: unknown;
}

export type LlamaGrammar = { readonly grammar: string };

export type ChatHistoryItem =
  | { readonly type: 'system' | 'user'; readonly text: string }
  | { readonly type: 'model'; readonly response: readonly string[] };

export interface ChatWrapper {
  generateContextState(options: { readonly chatHistory: readonly ChatHistoryItem[] }): {
    readonly contextText: { tokenize(tokenizer: unknown): Token[] };
  };
}

/** The parts that are values: what the package's module gives. */
export interface LlamaModule extends LlamaPackage {
  /** The chat template of a model, or the nearest known one. */
  resolveChatWrapper(model: LlamaModel): ChatWrapper;
  readonly LlamaGrammarEvaluationState: new (options: { readonly model: LlamaModel; readonly grammar: LlamaGrammar }) => object;
}

const packageName = 'node-llama-cpp';

/**
 * node-llama-cpp, which is an optional peer: loaded only when a model is started.
 *
 * @throws DmasError `DMAS_ENV_TARGET`
 */
export async function loadLlamaPackage(): Promise<LlamaModule> {
  const url = optionalPackageUrl(packageName);
  if (url !== undefined) return (await import(url)) as LlamaModule;
  const system = process.platform === 'darwin' ? 'mac' : process.platform === 'win32' ? 'win' : process.platform;
  return fail('DMAS_ENV_TARGET', `The package ${packageName} is not installed.`, {
    fix: `npm i ${packageName} @node-llama-cpp/${system}-${process.arch} --omit=optional`,
  });
}

/** Its quiet form: the processor alone, nothing built, nothing downloaded. */
export const openLlama = (module: LlamaModule, threads: number): Promise<Llama> =>
  module.getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: threads, logLevel: 'error' });
