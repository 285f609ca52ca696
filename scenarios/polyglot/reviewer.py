"""An agent built with the Python a2a-sdk: A2A 1.0 over JSON-RPC on PORT. Takes {"text"} as data and answers {"score", "remark"}."""

import os

import uvicorn
from a2a.helpers.proto_helpers import new_data_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Task, TaskState, TaskStatus
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette

HOST = os.environ.get('HOST', '127.0.0.1')
PORT = int(os.environ['PORT'])


class Reviewer(AgentExecutor):
    async def execute(self, context, event_queue):
        status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
        await event_queue.enqueue_event(Task(id=context.task_id, context_id=context.context_id, status=status, history=[context.message]))
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        data = [MessageToDict(part)['data'] for part in context.message.parts if part.HasField('data')]
        words = len(data[0]['text'].split()) if data else 0
        remark = 'Short and clear.' if words < 20 else 'Could be shorter.'
        await updater.add_artifact([new_data_part({'score': min(10, 20 - min(words, 20)), 'remark': remark})])
        await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


card = AgentCard(
    name='reviewer',
    description='Scores a text',
    version='1.0.0',
    supported_interfaces=[AgentInterface(url=f'http://{HOST}:{PORT}/rpc', protocol_binding='JSONRPC', protocol_version='1.0')],
    capabilities=AgentCapabilities(streaming=True),
    default_input_modes=['application/json'],
    default_output_modes=['application/json'],
    skills=[AgentSkill(id='review', name='review', description='Scores a text', tags=['text'])],
)
handler = DefaultRequestHandler(agent_executor=Reviewer(), task_store=InMemoryTaskStore(), agent_card=card)
app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, '/rpc')])
uvicorn.run(app, host=HOST, port=PORT, log_level='warning')
