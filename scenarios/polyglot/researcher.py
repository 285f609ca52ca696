"""A LangGraph agent behind a plain HTTP server: POST / takes {"topic"} as JSON and answers {"summary", "sources"}.

It knows nothing of dmas-opt. It listens on PORT, asks its neighbour at FACTS_URL, and exports its spans with
OpenTelemetry to wherever the OTEL_* variables say.
"""

import json
import operator
import os
import signal
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

provider = TracerProvider()
if os.environ.get('OTEL_EXPORTER_OTLP_ENDPOINT'):
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer('researcher')


class State(TypedDict):
    topic: str
    kinds: list[str]
    found: Annotated[list[str], operator.add]
    summary: str


def ask_facts(topic, kind):
    with tracer.start_as_current_span('POST', kind=SpanKind.CLIENT):
        headers = {'content-type': 'application/json'}
        propagate.inject(headers)
        body = json.dumps({'topic': topic, 'kind': kind}).encode()
        request = urllib.request.Request(os.environ['FACTS_URL'], data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)['fact']


def plan(state):
    return {'kinds': ['place', 'history']}


def gather(state):
    return {'found': [ask_facts(state['topic'], kind) for kind in state['kinds']]}


def write(state):
    return {'summary': ', and '.join(state['found'])}


graph = (
    StateGraph(State)
    .add_node('plan', plan)
    .add_node('gather', gather)
    .add_node('write', write)
    .add_edge(START, 'plan')
    .add_edge('plan', 'gather')
    .add_edge('gather', 'write')
    .add_edge('write', END)
    .compile()
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    # Headers and body leave in one piece; in two, the second would wait for the receiver's delayed acknowledgement.
    wbufsize = -1

    def do_GET(self):
        self.answer(200 if self.path == '/healthz' else 404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        context = propagate.extract(dict(self.headers))
        with tracer.start_as_current_span('POST /', context=context, kind=SpanKind.SERVER):
            try:
                result = graph.invoke({'topic': json.loads(body)['topic'], 'found': []})
                self.answer(200, {'summary': result['summary'], 'sources': len(result['found'])})
            except (KeyError, ValueError) as error:
                self.answer(422, {'detail': f'topic is missing: {error}'})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header('content-type', 'application/json')
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer((os.environ.get('HOST', '127.0.0.1'), int(os.environ['PORT'])), Handler)
server.daemon_threads = True
# From a thread of its own: shutdown waits for the loop that the signal interrupts.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
provider.shutdown()
