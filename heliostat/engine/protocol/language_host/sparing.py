"""Spares the SDK work that it does anew for each output and each resource, and that nothing here reads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import sys
import types
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any


class Outstanding:
    """Lets the SDK wait for thousands of outputs.

    It waits for the first of all that are outstanding, and begins anew with all others each time one is there: quadratic in
    the resources (42 s for 5,000). A failure, the end, or a second gone by are enough to look again; each output is watched
    once, however often that is.
    """

    def __init__(self) -> None:
        self._watched: set[asyncio.Future[Any]] = set()
        self._look = asyncio.Event()

    async def wait(self, outstanding: Iterable[asyncio.Future[Any]], return_when: str) -> Any:
        """Stands for `asyncio.wait`: those that are done, and the others."""
        outstanding = set(outstanding)
        for future in outstanding - self._watched:
            self._watched.add(future)
            future.add_done_callback(self._done)
        self._look.clear()
        if not any(future.done() for future in outstanding):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), timeout=1.0)
        done = {future for future in outstanding if future.done()}
        return done, outstanding - done

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._watched.discard(future)
        if not self._watched or future.cancelled() or future.exception() is not None:
            self._look.set()


def declared_at() -> Any:
    """Where in the program a resource is declared: what called the third `__init__` from here on, its class's own.

    The SDK reads every frame of the stack for it, with the source's lines, a third of its time; the engine keeps this one.
    """
    from pulumi.runtime.proto import source_pb2

    frame: types.FrameType | None = sys._getframe(1)
    constructors = 0
    while frame is not None and constructors < 3:
        constructors += frame.f_code.co_name == "__init__"
        frame = frame.f_back
    if frame is None:
        return source_pb2.StackTrace()
    uri = _uri(frame.f_code.co_filename)
    position = source_pb2.SourcePosition(uri=uri, line=frame.f_lineno) if uri else None
    return source_pb2.StackTrace(frames=[source_pb2.StackFrame(pc=position)])


def urn_maker(made: Callable[..., Any], constant: Callable[[Any], Any], settings: Any) -> Callable[..., Any]:
    """`create_urn` that asks no output for what is plain text; the SDK makes the URN of each resource, for mocks alone."""

    def create_urn(name: Any, type_: Any, parent: Any = None, project: Any = None, stack: Any = None) -> Any:
        if not (isinstance(name, str) and isinstance(type_, str) and isinstance(parent, str | None)):
            return made(name, type_, parent, project, stack)
        if parent is None:
            before = f"urn:pulumi:{stack or settings.get_stack()}::{project or settings.get_project()}::"
        else:
            before = parent[: parent.rfind("::")] + "$"
        return constant(f"{before}{type_}::{name}")

    return create_urn


@cache
def _uri(file: str) -> str:
    return pathlib.Path(file).as_uri() if os.path.isabs(file) else ""  # noqa: PTH117


def spare_the_sdk() -> None:
    """Has the SDK do once what it does for each output and each resource."""
    from pulumi import Output, _types
    from pulumi.runtime import resource, settings, stack

    if hasattr(stack, "asyncio"):
        stack.asyncio = types.SimpleNamespace(**{**vars(asyncio), "wait": Outstanding().wait})
    if hasattr(_types, "resource_types"):
        # What a class annotates, resolved: some fifty microseconds for each resource of the class.
        _types.resource_types = cache(_types.resource_types)
    if hasattr(resource, "_get_stack_trace"):
        resource._get_stack_trace = declared_at
    if hasattr(resource, "create_urn"):
        resource.create_urn = urn_maker(resource.create_urn, Output.from_input, settings)
