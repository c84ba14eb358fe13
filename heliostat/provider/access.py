"""`heliostat:index:Access`: who may do what, held to by the controller."""

from __future__ import annotations

from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.base import shared
from heliostat.spec.platform_resources import AccessInputs, AccessOutputs
from heliostat.spec.roles import MAY, AccessPolicy, Permission, Person, refusal
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError


class AccessHandler(Handler[AccessInputs, AccessOutputs]):
    """One a controller; the last that is declared counts."""

    token = "heliostat:index:Access"  # noqa: S105 - a type token
    inputs = AccessInputs
    outputs = AccessOutputs
    gone = "the controller does not know who may do what any more; the next `up` tells it again"

    async def preview(self, context: Context, old: AccessOutputs | None, new: AccessInputs) -> None:
        """Say who gets, changes or loses roles.

        Raises:
            PermanentError: whoever runs this may not change it.
        """
        await _require_grant(new)
        before = old.people if old is not None else {}
        for name in sorted(before.keys() | new.people.keys()):
            was, now = before.get(name), new.people.get(name)
            if was is None and now is not None:
                context.info(f"{name} may come in, as {', '.join(now.roles)}{_logins(now)}")
            elif now is None:
                context.info(f"{name} may not come in any more")
            elif was is not None and was != now:
                token = ", with another token" if was.token_sha256 != now.token_sha256 else ""
                context.info(f"{name} is {', '.join(now.roles)} ({', '.join(was.roles)} before){token}{_logins(now)}")
        if Permission.GRANT not in _of_stack(new) and (old is None or Permission.GRANT in _of_stack(old)):
            context.warn("the stack's own token may not change this any more: set HELIOSTAT_TOKEN to an admin's to do so")

    async def create(self, context: Context, inputs: AccessInputs) -> Created[AccessOutputs]:
        """Tell the controller."""
        return Created("access", await self._tell(inputs))

    async def read(self, context: Context, identifier: str, outputs: AccessOutputs) -> AccessOutputs | None:
        """What the controller holds to; None where that is nothing."""
        async with ControllerClient(outputs.controller) as client:
            found = await client.access()
        return outputs.model_copy(update=shared(found, AccessPolicy)) if found is not None else None

    async def update(self, context: Context, identifier: str, old: AccessOutputs, new: AccessInputs) -> AccessOutputs:
        """Tell it again."""
        return await self._tell(new)

    async def delete(self, context: Context, identifier: str, outputs: AccessOutputs) -> None:
        """Have the stack's own token be good for everything again; nothing where the controller is gone as well."""
        async with ControllerClient(outputs.controller) as client:
            try:
                await client.grant(None)
            except RetryableError as error:
                context.warn(f"the controller was not told that anybody may do everything again: {error}")

    async def _tell(self, inputs: AccessInputs) -> AccessOutputs:
        async with ControllerClient(inputs.controller) as client:
            await client.grant(AccessPolicy(**shared(inputs, AccessPolicy)))
        return AccessOutputs(**{name: getattr(inputs, name) for name in AccessInputs.model_fields})


async def _require_grant(inputs: AccessInputs) -> None:
    """See that whoever runs this may change it; a controller that is not up yet says nothing."""
    try:
        async with ControllerClient(inputs.controller) as client:
            who = await client.whoami()
    except RetryableError:
        return
    if not who.may(Permission.GRANT):
        raise PermanentError(refusal(who, (Permission.GRANT,), None))


def _logins(person: Person) -> str:
    known = ", ".join(map(str, person.known_logins))
    return f"; comments of {known} are theirs" if known else ""


def _of_stack(policy: AccessPolicy) -> frozenset[Permission]:
    return frozenset(each for role in policy.stack_token for each in MAY[role])
