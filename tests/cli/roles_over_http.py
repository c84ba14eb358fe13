"""A controller that says who calls, over real HTTP."""

from __future__ import annotations

from fastapi import FastAPI, Request

from heliostat.spec.roles import Identity, Role


class Roles:
    """A controller, as far as it says who calls, and hears what is deleted."""

    def __init__(self) -> None:
        self.who = Identity(name="ada", known=True, roles=(Role.VIEWER,), applications=("flights",))
        self.pruned = {}

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/v1/whoami")
        def whoami() -> Identity:
            return self.who

        @app.post("/v1/applications/{name}/data-sets/pruned")
        async def pruned(name: str, request: Request) -> dict:
            self.pruned[name] = (await request.json())["what"]
            return {}

        return app
