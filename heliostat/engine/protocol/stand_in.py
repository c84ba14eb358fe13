"""Stands in, in a preview, for a provider whose plugin is not on this machine: it knows what the package's SDK says.

Nothing outside is asked: no plugin, no cloud, no credentials. What only the provider or the cloud can tell is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import struct_pb2

from heliostat.engine.errors import CheckFailure, ProgramEnded, ProviderError
from heliostat.engine.protocol.carried import carried
from heliostat.engine.protocol.diffs import SAME, Diff, local_diff
from heliostat.engine.protocol.ignored import ignoring
from heliostat.engine.protocol.properties import from_struct, to_struct
from heliostat.engine.protocol.providers import Made, Subject, Values
from heliostat.engine.protocol.registrations import HasEnded, Unanswered
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn, type_of

Ask = Callable[[bytes], Awaitable[bytes]]

EXPANDING = frozenset({"kubernetes:yaml:decode", "kubernetes:helm:template", "kubernetes:kustomize:directory"})
"""Functions that say which resources there are: without their result they would be missing in the plan, in silence."""


@dataclass
class StandIn:
    """What serves the resources of `package` where no plugin does. `known` finds a resource of the state by its URN."""

    package: str
    ask: Ask | None
    """Asks the program's host; None where no program runs (`refresh`, `destroy`), and nothing is registered either."""
    known: Callable[[Urn], Resource | None]
    module: str = ""
    version: str = ""
    unread: int = 0
    """How many resources were taken as the state or the program has them, where a plugin would have read them."""
    untyped: set[str] = field(default_factory=set)
    """Types that the SDK does not know, of which nothing was checked."""
    unexpanded: set[Urn] = field(default_factory=set)
    """Components of the plugin, whose resources only it can tell."""
    _imported: set[Urn] = field(default_factory=set)

    async def _know_the_sdk(self) -> None:
        if self.module:
            return
        found = await self._asked(package=self.package)
        if not found:
            raise ProviderError(
                f"no plugin for provider '{self.package}' is on this machine, and the program's Python has no typed SDK of it "
                f"(pulumi_{self.package.replace('-', '_')}) that a preview could go by; the official CLI would install the "
                "plugin: run this program with that"
            )
        self.module, self.version = found["module"], found["version"]

    async def check(self, urn: Urn, olds: Values, news: Values, seed: bytes) -> tuple[Values, list[CheckFailure]]:
        """See Provider. What the plugin had added to the inputs of before stays."""
        return carried(news, olds), await self.failures(type_of(urn), news)

    async def failures(self, token: str, inputs: Mapping[str, Any]) -> list[CheckFailure]:
        """What is wrong with the inputs of the type `token`, as far as the SDK tells.

        Raises ProviderError where the program's Python has no SDK of the package.
        """
        await self._know_the_sdk()
        found = await self._asked(check=token, inputs=inputs)
        if not found["knows"]:
            self.untyped.add(token)
        return [CheckFailure(one["path"], one["reason"]) for one in found["mistakes"]]

    async def diff(self, old: Subject, news: Values, ignore: list[str]) -> Diff:
        """The difference of the inputs; whether one of them replaces the resource is the plugin's to know."""
        if old.urn in self._imported:
            return SAME
        return local_diff(old.inputs, ignoring(news, old.inputs, ignore).inputs)

    async def create(self, urn: Urn, inputs: Values, within: float, preview: bool) -> Made:
        """See Provider."""
        return Made("", await self.outputs(type_of(urn), inputs, {}))

    async def update(self, old: Subject, news: Values, ignore: list[str], preview: bool) -> Made:
        """See Provider. What was output before is taken to stay, but for inputs that are withdrawn."""
        before = {key: value for key, value in old.outputs.items() if key in news or key not in old.inputs}
        return Made(old.id, await self.outputs(type_of(old.urn), news, before))

    async def read(self, subject: Subject) -> Made | None:
        """The resource as the state has it; of one that it does not have, nothing is known but what was said of it."""
        known = self.known(subject.urn)
        self.unread += 1
        if known is not None and known.id == subject.id:
            return Made(known.id, known.outputs, known.inputs)
        self._imported.add(subject.urn)
        return Made(subject.id, await self.outputs(type_of(subject.urn), subject.inputs, {}), subject.inputs)

    async def delete(self, subject: Subject) -> None:
        """Never called: a preview deletes nothing."""
        raise ProviderError(f"no plugin for provider '{self.package}' is on this machine, which could delete {subject.urn}")

    async def invoke(self, token: str, arguments: Values, preview: bool) -> tuple[Values | None, list[CheckFailure]]:
        """A result that is not known. Raises ProviderError where the program would leave out resources without it."""
        if token in EXPANDING:
            raise ProviderError(
                f"no plugin for provider '{self.package}' is on this machine, and only it can say which resources this makes; "
                "declare them one by one, a chart as helm.v3.Release, or use the official CLI for this program"
            )
        return None, []

    async def outputs(self, token: str, inputs: Values, before: Values) -> Values:
        """The inputs as outputs, with what is known of `before`; all else that the type has is unknown."""
        if self.ask is None:
            return {**before, **inputs}
        return await self._asked(outputs=token, inputs=inputs, before=before)

    async def _asked(self, **question: Any) -> Values:
        if self.ask is None:
            raise ProviderError(f"there is no program that could tell of the SDK of '{self.package}'")
        try:
            answer = await self.ask(to_struct(question).SerializeToString())
        except HasEnded as error:
            raise ProgramEnded(str(error)) from None
        except Unanswered as error:
            raise ProviderError(f"what the SDK of '{self.package}' takes could not be told: {error}") from None
        return from_struct(struct_pb2.Struct.FromString(answer))


def notice(stand_ins: Sequence[StandIn]) -> str:
    """What a preview has to say of all that went by `stand_ins`, of which there are some."""
    several = "s" if len(stand_ins) > 1 else ""
    packages = _listed([f"'{one.package}'" for one in stand_ins])
    sdks = ", ".join(f"{one.module} {one.version}" for one in stand_ins if one.module)
    told = [
        f"no provider has checked this plan's resources of {packages}: "
        f"{'their plugins are' if several else 'its plugin is'} not on this machine.",
        f"Inputs are held to the types of the SDK{several} alone{f' ({sdks})' if sdks else ''},",
        "outputs that only the cloud can know are unknown, and whether a change replaces a resource is not known.",
    ]
    if unread := sum(one.unread for one in stand_ins):
        told.append(f"{unread} were taken as the state or the program has them, and not read.")
    if untyped := sorted({token for one in stand_ins for token in one.untyped}):
        told.append(f"Of types that no SDK knows, nothing was checked: {', '.join(untyped)}.")
    if unexpanded := sorted({urn for one in stand_ins for urn in one.unexpanded}):
        told.append(
            "What these components hold only the plugin can tell; what the state has of it is shown as it was: "
            f"{', '.join(unexpanded)}."
        )
    asked = "them" if several else "it"
    told.append(f"The official CLI installs the plugin{several}: `pulumi preview` asks {asked}, and `pulumi up` makes this.")
    return " ".join(told)


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
