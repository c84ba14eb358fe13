"""A controller that keeps a made-up rollout in memory and answers over real HTTP."""

import threading
from collections import deque
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from rollout_records import status

from heliostat.rollout.orders import fingerprint
from heliostat.spec.rollouts import (
    ActionRequest,
    Desired,
    Health,
    Phase,
    Record,
    RollbackRequest,
    RollbackTarget,
    Rollout,
    Status,
)
from heliostat.systems.controller_api import ENDS

TOKEN = "hush"


class FakeController:
    """`statuses` are what is so now; `coming` is what a waiting reader hears next, one by one.

    Its calls are some of the real controller's, with the same types: `test_controller_over_http` holds the two together.
    """

    def __init__(self):
        self.statuses = {}
        self.state = Health(version="0.1.0", haproxy=True, ray=True, public_url="http://127.0.0.1:8080")
        self.coming = deque()
        self.records = {}
        self.ways_back = {}
        self.patience = []
        self.queues = {}
        """Depth of the queue and dead letters, by application."""
        self.said = []
        self.waited = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def serve(self, record, name="flights", **changes):
        self.statuses[name] = status(record, name, **changes)
        self.records[name, record.rollout.number] = record

    def found(self, name):
        if name not in self.statuses:
            raise HTTPException(404, f"there is no application {name!r}")
        return self.statuses[name]

    def keeps(self, desired: Desired, name="flights", **changes):
        """What a rollback without a number goes back to from now on."""
        values = {"desired": desired, "fingerprint": fingerprint(desired), "warm": False}
        self.ways_back[name] = RollbackTarget(**values | changes)

    def health(self) -> Health:
        return self.state

    def listed(self) -> tuple[Status, ...]:
        return tuple(self.statuses.values())

    def read(self, name: str) -> Status:
        return self.found(name)

    def wait(self, name: str, seconds: float) -> Status:
        self.waited.set()
        self.patience.append(seconds)
        self.go_on.wait(20)
        return self.next(name)

    def rollouts(self, name: str) -> tuple[Rollout, ...]:
        known = [record.rollout for (owner, _), record in self.records.items() if owner == name]
        return tuple(one.model_copy(update={"events": ()}) for one in sorted(known, key=lambda one: -one.number))

    def record(self, name: str, number: int) -> Record:
        if (name, number) not in self.records:
            raise HTTPException(404, f"no rollout {number} of {name}")
        return self.records[name, number]

    def next(self, name):
        if self.coming:
            self.statuses[name] = self.coming.popleft()
        return self.found(name)

    def approve(self, name: str, word: ActionRequest) -> Status:
        going = self.found(name).rollout
        if going is None or going.phase is not Phase.WAITING:
            raise HTTPException(409, f"no rollout of {name} waits for a person")
        if (word.rollout, word.step) != (going.number, going.step):
            raise HTTPException(409, f"{name} waits at step {going.step + 1} of rollout {going.number}")
        self.said.append(("approve", name, word))
        return self._now(name, phase=Phase.SHIFTING, step=3)

    def abort(self, name: str, word: ActionRequest) -> Status:
        going = self.found(name).rollout
        if going is None or going.phase in ENDS:
            raise HTTPException(409, f"nothing of {name} is on its way")
        self.said.append(("abort", name, word))
        return self._now(name, phase=Phase.ROLLING_BACK)

    def way_back(self, name: str) -> RollbackTarget:
        self.found(name)
        if name not in self.ways_back:
            raise HTTPException(409, f"the ledger of {name} knows no version that served before the present one")
        return self.ways_back[name]

    def rollback(self, name: str, order: RollbackRequest) -> Status:
        self.found(name)
        if order.to is None and order.expected not in (None, self.way_back(name).fingerprint):
            raise HTTPException(409, f"what a rollback of {name} goes back to is no longer what was shown")
        self.said.append(("rollback", name, order))
        return self.next(name)

    def depth(self, name: str) -> Any:
        return self._queue(name)[0]

    def dead(self, name: str, most: int) -> Any:
        return [task for task in self._queue(name)[1] if task["status"] == "failed"][:most]

    def task(self, name: str, task: str) -> Any:
        for found in self._queue(name)[1]:
            if found["id"] == task:
                return found
        raise HTTPException(404, f"there is no task {task}")

    def retry(self, name: str, task: str) -> Any:
        found = self.task(name, task)
        if found["status"] != "failed":
            raise HTTPException(409, f"the task {task} is no dead letter")
        found["status"] = "waiting"
        return found

    def cancel(self, name: str, task: str) -> Any:
        found = self.task(name, task)
        if found["status"] != "waiting":
            raise HTTPException(409, f"the task has ended: it {found['status']}")
        found["status"] = "cancelled"
        return found

    def _queue(self, name):
        if name not in self.queues:
            raise HTTPException(404, f"{name} takes no tasks: declare serving.queue")
        return self.queues[name]

    def _now(self, name, **changes):
        before = self.statuses[name]
        self.statuses[name] = before.model_copy(update={"rollout": before.rollout.model_copy(update=changes)})
        return self.statuses[name]


def app_of(controller):
    app = FastAPI()

    @app.middleware("http")
    async def authenticated(request: Request, call_next):
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return await call_next(request)

    def route(method, path, answer):
        app.add_api_route(f"/v1/applications{path}", answer, methods=[method])

    app.add_api_route("/v1/health", controller.health, methods=["GET"])
    route("GET", "", controller.listed)
    route("GET", "/{name}", controller.read)
    route("GET", "/{name}/wait", controller.wait)
    route("GET", "/{name}/rollouts", controller.rollouts)
    route("GET", "/{name}/rollouts/{number}", controller.record)
    route("GET", "/{name}/rollback", controller.way_back)
    route("GET", "/{name}/tasks", controller.depth)
    route("GET", "/{name}/tasks/dead", controller.dead)
    route("GET", "/{name}/tasks/{task}", controller.task)
    route("POST", "/{name}/tasks/{task}/retry", controller.retry)
    route("POST", "/{name}/tasks/{task}/cancel", controller.cancel)
    route("POST", "/{name}/approve", controller.approve)
    route("POST", "/{name}/abort", controller.abort)
    route("POST", "/{name}/rollback", controller.rollback)
    return app


class Served:
    """A controller, or any application, behind a port of this machine, while the context lasts."""

    def __init__(self, controller):
        app = controller if isinstance(controller, FastAPI) else app_of(controller)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        import asyncio

        async def serve():
            startup = self._server.startup

            async def and_tell(sockets=None):
                await startup(sockets)
                self._up.set()

            self._server.startup = and_tell
            await self._server.serve()

        asyncio.run(serve())

    def __enter__(self):
        self._thread.start()
        assert self._up.wait(20)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *_):
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(20)
