/**
 * Names of span attributes. OpenTelemetry's own names where there is one (RPC and GenAI conventions; the GenAI ones
 * live in their own repository since semantic-conventions 1.45, so they are spelled out here), `dmas.*` for the rest.
 */
export const attr = {
  // OpenTelemetry RPC
  rpcSystem: 'rpc.system', // protocol id, on both sides of a hop
  rpcService: 'rpc.service', // callee component
  rpcMethod: 'rpc.method', // pattern: request, stream, send, publish
  errorType: 'error.type', // CallErrorCode
  // OpenTelemetry GenAI
  operation: 'gen_ai.operation.name', // invoke_agent, execute_tool, chat
  provider: 'gen_ai.provider.name',
  requestModel: 'gen_ai.request.model', // logical model name
  responseModel: 'gen_ai.response.model',
  tokensIn: 'gen_ai.usage.input_tokens',
  tokensOut: 'gen_ai.usage.output_tokens',
  tokensCached: 'gen_ai.usage.cache_read.input_tokens',
  timeToFirstChunkS: 'gen_ai.response.time_to_first_chunk',
  agentName: 'gen_ai.agent.name',
  toolName: 'gen_ai.tool.name',
  conversationId: 'gen_ai.conversation.id',
  workflowName: 'gen_ai.workflow.name',
  // Resource attributes of every process
  serviceName: 'service.name', // application
  serviceInstance: 'service.instance.id',
  deploymentId: 'dmas.deployment.id',
  unit: 'dmas.unit',
  replica: 'dmas.replica',
  // Ours
  requestId: 'dmas.request.id',
  requestClass: 'dmas.request.class',
  blockId: 'dmas.block.id',
  channel: 'dmas.channel',
  from: 'dmas.from', // calling component
  to: 'dmas.to', // called component
  attempt: 'dmas.attempt', // 1 for the first
  requestBytes: 'dmas.request.bytes', // body on the wire; 0 in-process
  responseBytes: 'dmas.response.bytes',
  serializeMs: 'dmas.serialize_ms', // this side's encode and decode work
  queueMs: 'dmas.queue_ms', // waited for a slot of the component (server) or of the engine (model)
  activeMs: 'dmas.active_ms', // event loop busy in this process while the turn ran
  concurrency: 'dmas.concurrency', // most turns at once in this process while the turn ran; activeMs is exact at 1
  stubbed: 'dmas.tool.stubbed', // the tool was answered, not run
  replayed: 'dmas.tool.replayed', // answered from a recording, not run
  standIn: 'dmas.stand_in', // made of the caller's span, because the component sends none
  step: 'dmas.graph.step',
  topic: 'dmas.topic',
  // LangGraph's own names of these facts, on the hop to a node
  graphNode: 'langgraph.node', // ids from the outermost graph down, joined by /
  graphStep: 'langgraph.step', // superstep of the node's graph
  packMs: 'dmas.graph.pack_ms', // on a turn: wrapping and unwrapping of state that went to or came from another process
  graphTriggers: 'langgraph.triggers', // channels that called for it
  pool: 'dmas.llm.pool', // pool of model servers that answered a model call
  limitMs: 'dmas.llm.limit_ms', // waited for the provider's declared limits before the call was sent
  prefix: 'dmas.llm.prefix', // growing prefixes of the prompt, `hash:tokens` of each, comma between: equal hashes, equal prefixes
  modelFault: 'dmas.llm.fault', // on a failed model call: what happened (`ModelFault`)
  usageEstimated: 'dmas.llm.usage_estimated', // the endpoint reported no tokens; they were counted from the text
  badToolCalls: 'dmas.llm.bad_tool_calls', // calls in a reply that nobody can run: of a tool not offered, or without JSON
  outcome: 'dmas.ingress.outcome', // ok or a CallErrorCode
  paused: 'dmas.paused', // id of the question to a person that ended the span; its status stays unset
} as const;

/**
 * Span names and their kinds:
 * - `ingress` (SERVER): the whole request as its user sees it, root of the trace unless the user sends a context
 * - `invoke_agent <agent>` (INTERNAL): one turn of an agent, where its code runs
 * - `execute_tool <tool>` (INTERNAL): one tool run, where its code runs
 * - `call <component>` (CLIENT, or PRODUCER for send and publish): a hop seen by the caller, one span per attempt
 * - `serve <component>` (SERVER, or CONSUMER): the same hop seen by the callee; absent in-process
 * - `chat <model>` (CLIENT): one model call
 * - `human wait` (INTERNAL): from a pause to the request that brought the answer; a child of the `ingress` span that ended
 *   with the question. The `ingress` span of the answer is a child of the same, so one request stays one trace
 */
export const spanName = {
  ingress: () => 'ingress',
  agent: (agent: string) => `invoke_agent ${agent}`,
  tool: (tool: string) => `execute_tool ${tool}`,
  call: (component: string) => `call ${component}`,
  serve: (component: string) => `serve ${component}`,
  chat: (model: string) => `chat ${model}`,
  humanWait: () => 'human wait',
} as const;
