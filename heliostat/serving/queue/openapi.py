"""What an application's OpenAPI document says of its tasks."""

from __future__ import annotations

import json
from typing import Any, Final

from heliostat.serving.rest.exchange import Reply, Response
from heliostat.spec.task_queue import TaskQueue

_STATUS: Final = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {
        "id": {"type": "string"},
        "status": {"enum": ["waiting", "running", "succeeded", "failed", "cancelled"]},
        "attempts": {"type": "integer"},
        "version": {"type": "string"},
        "submittedAt": {"type": "number"},
        "deadline": {"type": "number"},
        "endedAt": {"type": ["number", "null"]},
        "error": {"type": "string"},
    },
}
_WAIT: Final = {"name": "wait", "in": "query", "schema": {"type": "number", "minimum": 0, "maximum": 5}}


def with_tasks(reply: Reply, public_path: str, queue: TaskQueue) -> bytes:
    """An application's own document, with its tasks."""
    if not isinstance(reply, Response):
        raise TypeError("an application's document is there at once")
    document = json.loads(reply.body)
    predict = document["paths"][f"{public_path}/predict"]["post"]
    document["components"]["schemas"]["TaskStatus"] = _STATUS
    answer = predict["responses"]["200"]
    document["paths"] |= {
        f"{public_path}/tasks": {"post": _submit(predict, queue)},
        f"{public_path}/tasks/{{id}}": {
            "parameters": [_id()],
            "get": _operation("taskStatus", "How a task stands.", {"200": _status("As it stands.")}, [_WAIT]),
            "delete": _operation(
                "cancelTask", "Cancel a task.", {"200": _status("It is cancelled."), "409": _text("It has ended.")}, []
            ),
        },
        f"{public_path}/tasks/{{id}}/result": {
            "parameters": [_id()],
            "get": _operation(
                "taskResult",
                "The answer to a task.",
                {
                    "200": answer,
                    "202": _status("There is none yet."),
                    "409": _text("It failed."),
                    "410": _text("It was cancelled."),
                },
                [_WAIT],
            ),
        },
    }
    return json.dumps(document).encode()


def _submit(predict: dict[str, Any], queue: TaskQueue) -> dict[str, Any]:
    refusals = {status: what for status, what in predict["responses"].items() if status != "200"}
    key = {"name": "idempotency-key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255}}
    deadline = {"type": "number", "exclusiveMinimum": 0, "maximum": queue.deadline_seconds}
    parameters = [
        key,
        {"name": "deadlineSeconds", "in": "query", "schema": deadline},
        {"name": "webhook", "in": "query", "schema": {"type": "string", "format": "uri"}},
    ]
    return {
        "operationId": "submitTask",
        "summary": "Have a request answered later.",
        "parameters": parameters,
        "requestBody": predict["requestBody"],
        "responses": {
            "202": _status("It is kept, and will be answered."),
            **refusals,
            "409": _text("The key is another task's."),
            "503": _text("The broker is away, slow or full: try again after the seconds of retry-after."),
        },
    }


def _operation(name: str, what: str, responses: dict[str, Any], parameters: list[Any]) -> dict[str, Any]:
    responses = {**responses, "404": _text("There is no such task, or not any more."), "503": _text("The broker is away.")}
    return {"operationId": name, "summary": what, "parameters": parameters, "responses": responses}


def _id() -> dict[str, Any]:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def _status(what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TaskStatus"}}}}


def _text(what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
