"""The made-up controller that commands are tested against speaks as the real one does."""

from types import SimpleNamespace
from typing import get_type_hints
from unittest.mock import MagicMock

from controller_over_http import FakeController, app_of
from fastapi.routing import APIRoute

from heliostat.controller.api import create_app


def calls(app):
    """Body and answer of each call on applications, by method and path."""
    routes = [route for route in app.routes if isinstance(route, APIRoute) and route.path.startswith("/v1/")]
    return {(*route.methods, route.path): (body_of(route), get_type_hints(route.endpoint)["return"]) for route in routes}


def body_of(route):
    return [body.field_info.annotation for body in route.dependant.body_params]


def test_the_made_up_controller_has_the_real_ones_calls_with_the_same_bodies_and_answers():
    store = MagicMock()
    real = calls(create_app(SimpleNamespace(traffic=None, store=store), "token", "http://public"))
    made_up = calls(app_of(FakeController()))
    assert ("GET", "/v1/applications/{name}/rollback") in made_up
    assert made_up == {call: real.get(call) for call in made_up}
