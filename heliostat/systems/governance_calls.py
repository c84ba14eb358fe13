"""The calls of the controller's API about who may do what, what was done, and what people say of answers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import ConfigDict, TypeAdapter

from heliostat.spec.alarm_orders import AcknowledgeOrder, SilenceOrder, UnsilenceOrder
from heliostat.spec.audit import AuditAnchor, AuditEntry
from heliostat.spec.branch_environments import EnvironmentOrder
from heliostat.spec.data_sets import PrunedData
from heliostat.spec.erasure import ErasureAnnouncement, ErasureProof
from heliostat.spec.review import ReviewReport
from heliostat.spec.roles import AccessPolicy, Identity
from heliostat.systems.errors import PermanentError

_AUDIT = TypeAdapter(tuple[AuditEntry, ...], config=ConfigDict(defer_build=True))


class ForbiddenError(PermanentError):
    """Who asks may not; the text says what they lack."""


class GovernanceCalls(ABC):
    """A part of `ControllerClient`."""

    @abstractmethod
    async def _call(
        self, method: str, path: str, body: object = None, *, none_at_404: bool = False, seconds: float = 30.0
    ) -> object:
        """The answer to a call, as JSON."""

    async def whoami(self) -> Identity:
        """Who the token that this client has is of."""
        return Identity.model_validate(await self._call("GET", "/v1/whoami"))

    async def order_environment(self, environment: str, order: EnvironmentOrder) -> Identity:
        """Have the audit log told what is done to a branch's environment; who this client speaks for.

        Raises:
            ForbiddenError: they may not.
        """
        found = await self._call("POST", f"/v1/environments/{environment}/orders", order.model_dump(mode="json"))
        return Identity.model_validate(found)

    async def access(self) -> AccessPolicy | None:
        """Who may do what; None where nobody said, and the stack's own token is good for everything."""
        found = await self._call("GET", "/v1/access")
        return AccessPolicy.model_validate(found) if found is not None else None

    async def grant(self, policy: AccessPolicy | None) -> None:
        """Have it be so; None: as where nobody said.

        Raises:
            ForbiddenError: this token may not.
        """
        if policy is None:
            await self._call("DELETE", "/v1/access")
        else:
            await self._call("PUT", "/v1/access", policy.model_dump(mode="json"))

    async def audit(self, most: int, before: int | None = None) -> tuple[AuditEntry, ...]:
        """The newest entries of the audit log, from the one before number `before` on.

        Raises:
            ForbiddenError: this token may not.
        """
        path = f"/v1/audit?most={most}" + (f"&before={before}" if before is not None else "")
        return _AUDIT.validate_python(await self._call("GET", path))

    async def anchor(self) -> AuditAnchor:
        """What the controller remembers of the entries that it wrote.

        Raises:
            ForbiddenError: this token may not.
        """
        return AuditAnchor.model_validate(await self._call("GET", "/v1/audit/anchor"))

    async def reviews(self, name: str) -> ReviewReport:
        """What came of the reviews of an application's answers.

        Raises:
            PermanentError: it has no review queue.
        """
        return ReviewReport.model_validate(await self._call("GET", f"/v1/applications/{name}/reviews"))

    async def acknowledge(self, name: str, order: AcknowledgeOrder) -> None:
        """Have an alarm of an application's monitor be looked after.

        Raises:
            ForbiddenError: this token may not.
            PermanentError: it is not watched, or there is no open alarm of that key.
        """
        await self._call("POST", f"/v1/applications/{name}/alarms/acknowledge", order.model_dump(mode="json"))

    async def silence(self, name: str, order: SilenceOrder) -> None:
        """Have nobody be told of some alarms for a while.

        Raises:
            ForbiddenError: this token may not.
            PermanentError: it is not watched, or the time is over already.
        """
        await self._call("POST", f"/v1/applications/{name}/alarms/silence", order.model_dump(mode="json"))

    async def unsilence(self, name: str, order: UnsilenceOrder) -> None:
        """Have a silence end before its time.

        Raises:
            ForbiddenError: this token may not.
            PermanentError: it is not watched.
        """
        await self._call("POST", f"/v1/applications/{name}/alarms/unsilence", order.model_dump(mode="json"))

    async def begin_erasure(self, announced: ErasureAnnouncement) -> None:
        """Have the audit log told that a person's data are being deleted.

        Raises:
            ForbiddenError: this token may not.
        """
        await self._call("POST", f"/v1/applications/{announced.application}/erasures", announced.model_dump(mode="json"))

    async def tell_pruning(self, name: str, pruned: PrunedData) -> None:
        """Have the audit log told that some of a data set is being deleted.

        Raises:
            ForbiddenError: this token may not.
        """
        await self._call("POST", f"/v1/applications/{name}/data-sets/pruned", pruned.model_dump(mode="json"))

    async def end_erasure(self, proof: ErasureProof) -> None:
        """Have the audit log told that they are, with the proof's digest."""
        path = f"/v1/applications/{proof.application}/erasures/{proof.id}"
        await self._call("PUT", path, proof.model_dump(mode="json"))
