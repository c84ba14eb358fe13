"""MLflow, Ray's dashboard and HAProxy as `heliostat status` asks them, each behind a port of this machine."""

import importlib.metadata
from contextlib import contextmanager

from controller_over_http import Served
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse


class FakeParts:
    """What the parts answer now."""

    def __init__(self, token):
        self.token = token
        self.nodes = 2
        self.ray_version, self.mlflow_version = importlib.metadata.version("ray"), "3.17.0"
        self.database_answers = True
        self.failing = set()

    def app_of(self, part):
        app = FastAPI()

        @app.middleware("http")
        async def failing(request, call_next):
            return PlainTextResponse("no", 500) if part in self.failing else await call_next(request)

        getattr(self, f"_{part}")(app)
        return app

    def _mlflow(self, app):
        @app.get("/health")
        def health():
            return "OK"

        @app.get("/version", response_class=PlainTextResponse)
        def version():
            return self.mlflow_version

        @app.get("/api/2.0/mlflow/experiments/get")
        def experiment(experiment_id: str):
            if not self.database_answers:
                raise HTTPException(500, "no such table: experiments")
            return {"experiment": {"experiment_id": experiment_id}}

    def _ray(self, app):
        @app.get("/api/version")
        def version(request: Request):
            self._authenticated(request)
            return {"ray_version": self.ray_version}

        @app.get("/api/v0/nodes")
        def nodes(request: Request):
            self._authenticated(request)
            node = {"state": "ALIVE", "node_name": "127.0.0.1", "node_ip": "127.0.0.1", "resources_total": {"CPU": 2.0}}
            return {"data": {"result": {"result": [{**node, "node_id": str(number)} for number in range(self.nodes)]}}}

    def _authenticated(self, request):
        assert request.headers["authorization"] == f"Bearer {self.token}"

    def _haproxy(self, app):
        """Every path is one of no application."""


@contextmanager
def served(parts):
    """The addresses of the parts, by name."""
    with (
        Served(parts.app_of("mlflow")) as mlflow,
        Served(parts.app_of("ray")) as ray,
        Served(parts.app_of("haproxy")) as haproxy,
    ):
        yield {"mlflow": mlflow, "ray": ray, "haproxy": haproxy}
