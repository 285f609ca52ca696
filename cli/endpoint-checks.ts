import type { Scenario } from '../scenarios/schema.ts';

/** One line of what `doctor` found. */
export interface Check {
  readonly what: string;
  /** `lacking` is worth knowing and stops nothing. */
  readonly state: 'ok' | 'not ready' | 'found' | 'lacking';
  readonly says: string;
}

export interface EndpointReport {
  readonly checks: readonly Check[];
  /** What went out, in words; undefined when nothing did. */
  readonly sent: string | undefined;
}

interface Endpoint {
  readonly name: string;
  /** Up to and with `/v1`. */
  readonly url: string;
  /** Name sent on the wire. */
  readonly model: string;
  readonly secret: string | undefined;
  readonly maxTokensParameter: string;
}

/** Long enough for a model that is loaded on demand, short enough to wait for. */
const patienceMs = 20_000;
/** A question as short as it gets; a reply of a few tokens says as much as a long one. */
const question = 'Say ok.';
const replyTokens = 8;
/** A call has a name and arguments, so it takes some more. */
const callTokens = 48;
const ping = { type: 'function', function: { name: 'ping', description: 'Answers pong', parameters: { type: 'object', properties: {} } } };

/** The endpoints of a scenario that nobody here deploys, each of them asked what the studies will need of it. */
export async function checkEndpoints(
  models: Scenario['config']['models'],
  used: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<EndpointReport> {
  const reports = [];
  for (const name of used) {
    const bound = models[name];
    if (bound?.url === undefined) continue;
    const parameter = bound.options.maxTokensParameter;
    reports.push(
      await checkEndpoint(
        {
          name,
          url: bound.url.replace(/\/+$/, ''),
          model: bound.model ?? name,
          secret: bound.secret,
          maxTokensParameter: typeof parameter === 'string' ? parameter : 'max_completion_tokens',
        },
        environment,
      ),
    );
  }
  const sent = reports.flatMap((report) => report.sent ?? []);
  return { checks: reports.flatMap((report) => report.checks), sent: sent.length === 0 ? undefined : sent.join('; ') };
}

async function checkEndpoint(endpoint: Endpoint, environment: NodeJS.ProcessEnv): Promise<EndpointReport> {
  const { name, url, model, secret } = endpoint;
  const checks: Check[] = [];
  const tell = (topic: string, state: Check['state'], says: string) => checks.push({ what: `model ${name}: ${topic}`, state, says });
  const key = secret === undefined ? undefined : environment[secret];
  if (secret !== undefined && !key) {
    tell('key', 'not ready', `the environment variable ${secret} is not set; export ${secret}=…`);
    return { checks, sent: undefined };
  }
  const wire = openWire(url, key);
  const told = { questions: 0, tokens: 0 };
  const ask = async (body: object, limit: number): Promise<Answer> => {
    told.questions++;
    const messages = [{ role: 'user', content: question }];
    const answer = await wire('POST', '/chat/completions', { model, messages, [endpoint.maxTokensParameter]: limit, ...body });
    told.tokens += answer.usage === undefined ? 0 : count(answer.usage.prompt_tokens) + count(answer.usage.completion_tokens);
    return answer;
  };
  const report = (): EndpointReport => ({
    checks,
    sent: `to ${url}: its lists of models and metrics, and ${told.questions} times "${question}" (${told.tokens} tokens as it counts them)`,
  });

  const list = await wire('GET', '/models');
  if (list.status === 0) {
    tell('reachable', 'not ready', `${url}: ${list.problem}; is it running, and is the url right up to and with /v1?`);
    return report();
  }
  tell('reachable', 'ok', url);
  const listed = namesIn(list.body);
  if (listed !== undefined && !listed.includes(model)) {
    tell('present', 'not ready', `there is no "${model}"; it has ${listed.slice(0, 5).join(', ') || 'none'}: set models.${name}.model`);
    return report();
  }

  const whole = await ask({}, replyTokens);
  if (whole.status === 401 || whole.status === 403) {
    const mend = secret === undefined ? `name the variable with the key: models.${name}.secret` : `look at the value of ${secret}`;
    tell('key', 'not ready', `it answers ${whole.status}: ${whole.problem}; ${mend}`);
    return report();
  }
  tell('key', 'ok', secret === undefined ? 'none asked for' : `${secret} is accepted`);
  if (whole.status !== 200 || choiceOf(whole.body) === undefined) {
    const older = /max_completion_tokens/.test(whole.problem) ? '; set options: { maxTokensParameter: max_tokens }' : '';
    tell(
      'answers',
      'not ready',
      `${whole.status === 200 ? 'its reply holds no choice' : `it answers ${whole.status}: ${whole.problem}`}${older}`,
    );
    return report();
  }
  tell('present', 'ok', listed === undefined ? `${model} answers (it lists no models)` : model);
  tell('answers', 'ok', 'a whole reply');
  if (whole.usage === undefined)
    tell('usage', 'lacking', 'it reports no tokens: they are counted from the text, about four characters each');
  else tell('usage', 'ok', `${count(whole.usage.prompt_tokens)} tokens in, ${count(whole.usage.completion_tokens)} out`);
  const cached = (whole.usage?.prompt_tokens_details as { cached_tokens?: unknown } | null | undefined)?.cached_tokens;
  if (typeof cached === 'number') tell('cached tokens', 'ok', 'reported');
  else tell('cached tokens', 'lacking', 'not reported: every token is charged at its full price (vLLM: --enable-prompt-tokens-details)');

  const stream = await ask({ stream: true, stream_options: { include_usage: true } }, replyTokens);
  if (stream.status !== 200 || stream.chunks === 0)
    tell('streaming', 'lacking', `no chunks (${stream.status} ${stream.problem}): requests that stream will fail`);
  else if (stream.usage === undefined)
    tell('streaming', 'lacking', `${stream.chunks} chunks, but no usage in them: tokens are counted from the text`);
  else tell('streaming', 'ok', `${stream.chunks} chunks, usage in the last`);

  const called = await ask({ tools: [ping], tool_choice: 'auto' }, callTokens);
  const calls = choiceOf(called.body)?.message?.tool_calls;
  if (called.status !== 200)
    tell('tools', 'lacking', `it answers ${called.status}: ${called.problem} (vLLM: --enable-auto-tool-choice --tool-call-parser)`);
  else tell('tools', 'ok', Array.isArray(calls) && calls.length > 0 ? 'calls them' : 'takes them; did not call one for this question');

  const metrics = await wire('GET', '/metrics', undefined, new URL(url).origin);
  const known = ['vllm:', 'llamacpp:'].filter((prefix) => metrics.text.includes(prefix));
  if (metrics.status === 200 && known.length > 0) tell('metrics', 'ok', `${known.join(' ')} at /metrics`);
  else tell('metrics', 'lacking', 'none at /metrics: what its queue and cache do cannot be seen');
  return report();
}

interface Usage {
  readonly prompt_tokens?: unknown;
  readonly completion_tokens?: unknown;
  readonly prompt_tokens_details?: unknown;
}

interface Answer {
  /** 0: nothing came. */
  readonly status: number;
  readonly text: string;
  readonly body: unknown;
  readonly usage: Usage | undefined;
  /** Events of a stream that hold a choice. */
  readonly chunks: number;
  /** What went wrong, without the key. */
  readonly problem: string;
}

/** Requests as an agent's would be, so that what is told holds for them; nothing is repeated. */
function openWire(url: string, key: string | undefined) {
  const hide = (text: string) => (key ? text.replaceAll(key, '***') : text).replace(/\s+/g, ' ').slice(0, 200);
  return async (method: string, path: string, body?: object, base = url): Promise<Answer> => {
    try {
      const headers = {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        // Metrics lie beside the API and need no key.
        ...(key && base === url ? { authorization: `Bearer ${key}` } : {}),
      };
      const signal = AbortSignal.timeout(patienceMs);
      const response = await fetch(`${base}${path}`, {
        method,
        headers,
        signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const events = [...text.matchAll(/^data: (\{.*\})\s*$/gm)].flatMap(([, data = '']) => parse(data) ?? []);
      const whole = parse(text);
      const usage = [whole, ...events].map((each) => (each as { usage?: Usage | null } | undefined)?.usage).findLast((each) => each);
      const chunks = events.filter((each) => choiceOf(each) !== undefined).length;
      const message = (whole as { error?: { message?: unknown } } | undefined)?.error?.message;
      const problem = hide(typeof message === 'string' ? message : response.ok ? '' : text || response.statusText);
      return { status: response.status, text, body: whole, usage: usage ?? undefined, chunks, problem };
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      const problem = hide(cause instanceof Error ? cause.message || cause.name : String(cause));
      return { status: 0, text: '', body: undefined, usage: undefined, chunks: 0, problem };
    }
  };
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function choiceOf(body: unknown): { readonly message?: { readonly tool_calls?: unknown } } | undefined {
  const choices = (body as { choices?: unknown } | undefined)?.choices;
  return Array.isArray(choices) ? choices[0] : undefined;
}

function namesIn(body: unknown): string[] | undefined {
  const data = (body as { data?: unknown } | undefined)?.data;
  return Array.isArray(data) ? data.flatMap((each: { id?: unknown } | null) => (typeof each?.id === 'string' ? [each.id] : [])) : undefined;
}

const count = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
