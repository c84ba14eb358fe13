"""`--json`: one document at the end, in the shape of the official CLI's preview digest."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from heliostat.cli.display import judged, messages, pricing
from heliostat.cli.display.board import Board
from heliostat.engine.events import Event, Op, PropertyChange, StepStarted, StepSucceeded, Summary
from heliostat.engine.masking import Masker
from heliostat.engine.state import urns
from heliostat.engine.state.checkpoint import encode_resource
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.stored import encode_value
from heliostat.engine.state.urns import Urn

_NANOSECONDS = 1_000_000_000


class DigestDisplay:
    """Collects, and writes the document when the operation is over."""

    def __init__(
        self,
        write: Callable[[str], None],
        olds: Mapping[Urn, Resource],
        config: Mapping[str, str],
        masker: Masker,
        *,
        preview: bool,
    ) -> None:
        """`config` is by full key with secrets hidden; `olds` are the resources before, whose texts `masker` covers."""
        self._masker = masker
        self._write = write
        self._olds = olds
        self._config = dict(config)
        self.board = Board(preview)
        self._steps: list[StepStarted] = []
        self._news: dict[tuple[Urn, Op], dict[str, Any]] = {}

    def start(self, title: str) -> None:
        """Standard output carries the document only."""

    def __call__(self, event: Event) -> None:
        """Takes one event in."""
        self.board.apply(event)
        if isinstance(event, StepStarted):
            self._steps.append(event)
        elif isinstance(event, StepSucceeded) and event.outputs:
            self._news[event.urn, event.op] = event.outputs

    def tick(self) -> None:
        """Nothing to draw."""

    def notice(self, text: str) -> None:
        """Nothing to say."""

    def pause(self) -> None:
        """Nothing is drawn that could be in the way."""

    def resume(self) -> None:
        """Nothing to draw again."""

    def stop(self, result: Summary | None) -> None:
        """Writes the document."""
        if result is None:
            return
        document: dict[str, Any] = {
            "config": self._config,
            "steps": [self._step(step) for step in self._steps],
            "diagnostics": self._diagnostics(),
            **judged.document(self.board),
            "duration": int(result.seconds * _NANOSECONDS),
            "changeSummary": {str(op): count for op, count in result.changes.items() if count},
            "result": messages.result_of(result),
            "goesOn": [{"urn": each.urn, "message": each.message, **each.details} for each in result.going],
        }
        if self.board.price is not None:
            document["price"] = pricing.document(self.board.price.comparison())
        if self.board.outputs:
            document["outputs"] = encode_value(messages.shown(self.board.outputs.new, show_secrets=False), _never, "outputs")
        empty: tuple[Any, ...] = ({}, [])
        self._write(json.dumps({k: v for k, v in document.items() if v not in empty}, indent=4, ensure_ascii=False))

    def _step(self, step: StepStarted) -> dict[str, Any]:
        said: dict[str, Any] = {"op": str(step.op), "urn": step.urn}
        old = self._olds.get(step.urn)
        if old is not None:
            said |= {"provider": old.provider} if old.provider else {}
            if step.op is not Op.CREATE:
                said["oldState"] = encode_resource(self._hidden(old), _never)
        values = {"inputs": step.inputs, "outputs": self._news.get((step.urn, step.op))}
        shown = {key: messages.shown(value, show_secrets=False) for key, value in values.items() if value}
        if shown and step.op not in {Op.DELETE, Op.DELETE_REPLACED}:
            encoded = {key: encode_value(value, _never, step.urn) for key, value in shown.items()}
            said["newState"] = {"urn": step.urn, "type": urns.type_of(step.urn), **encoded}
        if step.changes:
            said["diffReasons"] = sorted({_root(change) for change in step.changes})
            said["replaceReasons"] = sorted({_root(change) for change in step.changes if change.replaces})
            said["detailedDiff"] = {change.path: {"kind": _kind(change), "inputDiff": True} for change in step.changes}
        return {name: value for name, value in said.items() if value != []}

    def _hidden(self, resource: Resource) -> Resource:
        values = {name: getattr(resource, name) for name in ("inputs", "outputs", "replacement_trigger")}
        hidden = {name: self._masker.value(messages.shown(value, show_secrets=False)) for name, value in values.items()}
        errors = [self._masker.text(error) for error in resource.init_errors]
        return dataclasses.replace(resource, **hidden, init_errors=errors)

    def _diagnostics(self) -> list[dict[str, str]]:
        return [
            {**({"urn": told.urn} if told.urn else {}), "message": told.message, "severity": told.severity}
            for told in self.board.diagnostics
            if told.severity != "debug"
        ]


def _never(_: str, place: str) -> dict[str, str]:
    raise AssertionError(f"a secret at {place} was not hidden before it was written")


def _root(change: PropertyChange) -> str:
    return change.path.split(".", 1)[0].split("[", 1)[0] or change.path


def _kind(change: PropertyChange) -> str:
    kind = "add" if change.old is None else "delete" if change.new is None else "update"
    return f"{kind}-replace" if change.replaces else kind
