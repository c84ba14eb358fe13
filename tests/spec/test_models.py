"""When models are made, and what schemas say of their fields."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from typing import get_args

from pydantic import Field

import heliostat.spec
from heliostat.spec.base import Model, make_all
from heliostat.spec.describing import Described


class _Tree(Model):
    """A base."""

    tall_as: int
    """In metres,
    from the ground."""
    old: int = Field(1, description="In years.")
    """Not this."""
    wide: int = 1


class _Oak(_Tree):
    acorns: int = 0
    """Of last year."""


_MADE = """
from heliostat.spec.base import Model

class Leaf(Model):
    green: bool = True

print(Leaf.__pydantic_complete__, Leaf().green, Leaf.__pydantic_complete__)
"""


def test_a_model_is_made_when_something_is_validated() -> None:
    # In a process in which nobody made them all.
    assert (
        subprocess.run([sys.executable, "-c", _MADE], capture_output=True, text=True, timeout=60).stdout == "False True True\n"
    )


def test_all_models_below_a_model_can_be_made_at_once() -> None:
    class Leaf(_Tree):
        pass

    class Needle(Leaf):
        pass

    make_all(_Tree)
    assert Leaf.__pydantic_complete__
    assert Needle.__pydantic_complete__


_ASKED = """
import asyncio, httpx
from unittest.mock import MagicMock
from heliostat.controller.api import create_app

async def ask():
    reconciler = MagicMock()
    reconciler.store.access.read.return_value = None
    app = httpx.ASGITransport(create_app(reconciler, "token", "http://public"), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=app, base_url="http://c", headers={"Authorization": "Bearer token"}) as client:
        print((await client.post("/v1/applications/a/approve", json={"by": "me", "rollout": "x"})).text)

asyncio.run(ask())
"""


def test_the_controllers_calls_read_their_bodies_as_models_that_are_made() -> None:
    asked = subprocess.run([sys.executable, "-c", _ASKED], capture_output=True, text=True, timeout=60)
    assert (asked.stderr, json.loads(asked.stdout)["detail"][:12]) == ("", "body.rollout")


def test_a_schema_has_what_stands_below_a_field_unless_the_field_says_more() -> None:
    properties = _Oak.model_json_schema(schema_generator=Described)["properties"]
    described = {name: value.get("description") for name, value in properties.items()}
    assert described == {"tallAs": "In metres,\nfrom the ground.", "old": "In years.", "wide": None, "acorns": "Of last year."}


_MADE_BY_IMPORTS = """
import heliostat.resources
from heliostat.spec.base import Model
from heliostat.spec.parameters import JobParameters

def below(model):
    for each in model.__subclasses__():
        yield each
        yield from below(each)

print(sorted(each.__name__ for each in [*below(Model), JobParameters] if each.__pydantic_complete__))
"""


def test_importing_what_a_program_declares_makes_no_validator() -> None:
    # The first one that is made also looks through the entry points of all that is installed, for plugins.
    asked = subprocess.run([sys.executable, "-c", _MADE_BY_IMPORTS], capture_output=True, text=True, timeout=60)
    assert (asked.stderr, asked.stdout) == ("", "[]\n")


def test_a_model_that_is_a_default_is_one_in_the_schema_too() -> None:
    class Forest(Model):
        oak: _Oak = Field(default_factory=lambda: _Oak(tall_as=9))
        oaks: list[int] = Field(default_factory=lambda given: [given["oak"].acorns])

    properties = Forest.model_json_schema(schema_generator=Described)["properties"]
    assert properties["oak"]["default"] == {"tallAs": 9, "old": 1, "wide": 1, "acorns": 0}
    assert "default" not in properties["oaks"], "it depends on what is given"


def test_null_is_said_of_nothing_that_has_another_default() -> None:
    """A null does not travel to the plugin: whoever wrote it would get the default."""
    for module in pkgutil.walk_packages(heliostat.spec.__path__, "heliostat.spec."):
        importlib.import_module(module.name)
    nullable = [
        f"{model.__name__}.{name}"
        for model in _below(Model)
        for name, field in model.model_fields.items()
        if model.__module__.startswith("heliostat.spec.")
        and type(None) in get_args(field.annotation)
        and not field.is_required()
        and field.get_default(call_default_factory=True, validated_data={}) is not None
    ]
    assert nullable == []


def _below(model: type[Model]) -> set[type[Model]]:
    return {below for each in model.__subclasses__() for below in ({each} | _below(each))}
