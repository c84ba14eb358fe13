"""The provider `pulumi`, which is the engine's own: references to other stacks, stashes, and resources by their URN."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from heliostat.engine.errors import CheckFailure, EngineError, ProviderError
from heliostat.engine.protocol.diffs import SAME, Diff, alike
from heliostat.engine.protocol.properties import has_secrets
from heliostat.engine.protocol.providers import Made, Subject, Values
from heliostat.engine.state.snapshot import UNKNOWN, Resource
from heliostat.engine.state.urns import Urn, type_of

STACK_REFERENCE = "pulumi:pulumi:StackReference"
STASH = "pulumi:index:Stash"
INPUT = {STACK_REFERENCE: "name", STASH: "input"}
"""The one input that a resource of each type has, and has to have."""


class StackReader(Protocol):
    """What a StackReference reads."""

    def outputs(self, stack_name: str) -> dict[str, Any]:
        """The outputs of the stack `stack_name` (`stack`, or `organization/project/stack`), secrets wrapped.

        What of them cannot be decrypted is an `unreadable.stand_in`. Raises EngineError where there is no such stack.
        """


@dataclass
class BuiltinProvider:
    """The provider `pulumi`. `lookup` finds a resource of this operation by its URN."""

    stacks: StackReader
    lookup: Callable[[Urn], Resource | None]
    read_others: bool = False
    """Whether other stacks were read, whose secrets may be unreadable."""

    async def check(self, urn: Urn, olds: Values, news: Values, seed: bytes) -> tuple[Values, list[CheckFailure]]:
        """See Provider."""
        needed = INPUT[_known(urn)]
        unknown = [CheckFailure(key, f'unknown property "{key}"') for key in news if key != needed]
        missing = [] if needed in news else [CheckFailure(needed, f'missing required property "{needed}"')]
        return news, unknown + missing

    async def diff(self, old: Subject, news: Values, ignore: list[str]) -> Diff:
        """See Provider."""
        key = INPUT[_known(old.urn)]
        if alike(old.inputs.get(key), news.get(key)):
            return SAME
        changed, replaced = ((), (key,)) if type_of(old.urn) == STACK_REFERENCE else ((key,), ())
        return Diff(changes=True, changed=changed, replaces=replaced)

    async def create(self, urn: Urn, inputs: Values, within: float, preview: bool) -> Made:
        """See Provider."""
        ident = "" if preview else str(uuid.uuid4())
        if _known(urn) == STASH:
            return Made(ident, {"input": inputs["input"], "output": inputs["input"]})
        return Made(ident, self._outputs(inputs))

    async def update(self, old: Subject, news: Values, ignore: list[str], preview: bool) -> Made:
        """A stash keeps what it was made with until it is replaced."""
        if type_of(old.urn) != STASH:
            raise ProviderError(f"unrecognized resource type '{type_of(old.urn)}'")
        return Made(old.id, {"input": news["input"], "output": old.outputs.get("output")})

    async def read(self, subject: Subject) -> Made | None:
        """See Provider."""
        if _known(subject.urn) == STASH:
            if not subject.inputs:
                raise ProviderError("stash can not be imported")
            return Made(subject.id, subject.outputs, subject.inputs)
        if "name" not in subject.inputs:
            raise ProviderError("stack reference can not be imported")
        return Made(subject.id, self._outputs(subject.inputs), subject.inputs)

    async def delete(self, subject: Subject) -> None:
        """See Provider."""

    async def invoke(self, token: str, arguments: Values, preview: bool) -> tuple[Values, list[CheckFailure]]:
        """See Provider."""
        if token == "pulumi:pulumi:readStackOutputs":  # noqa: S105 (a function's name)
            return self._outputs(arguments), []
        if token == "pulumi:pulumi:getResource":  # noqa: S105
            found = self.lookup(arguments.get("urn", ""))
            if found is None:
                raise ProviderError(f"unknown resource {arguments.get('urn')}")
            return {"urn": found.urn, "id": found.id, "provider": found.provider, "state": found.outputs}, []
        raise ProviderError(f"unrecognized function name: '{token}'")

    def _outputs(self, arguments: Values) -> Values:
        name = arguments.get("name")
        if not isinstance(name, str) or name == UNKNOWN:
            return {"name": name, "outputs": UNKNOWN, "secretOutputNames": UNKNOWN}
        self.read_others = True
        try:
            outputs = self.stacks.outputs(name)
        except EngineError as error:
            raise ProviderError(str(error)) from None
        secret = sorted(key for key, value in outputs.items() if has_secrets(value))
        return {"name": name, "outputs": outputs, "secretOutputNames": secret}


def _known(urn: Urn) -> str:
    if type_of(urn) not in INPUT:
        raise ProviderError(f"unrecognized resource type '{type_of(urn)}'")
    return type_of(urn)
