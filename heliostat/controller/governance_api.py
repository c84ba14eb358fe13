"""The calls of the API about who may do what, and what was done: access, the audit log, deletions of a person's data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, status

from heliostat.controller import audit
from heliostat.controller.permissions import Who
from heliostat.controller.reconciler import Reconciler
from heliostat.spec.audit import AuditAnchor, AuditEntry
from heliostat.spec.base import Name
from heliostat.spec.branch_environments import EnvironmentOrder
from heliostat.spec.data_sets import PrunedData
from heliostat.spec.erasure import ErasureAnnouncement, ErasureId, ErasureProof
from heliostat.spec.review import truth_key
from heliostat.spec.roles import AccessPolicy, Identity, Permission, refusal
from heliostat.systems.erasures import ErasedPeople, announced
from heliostat.systems.objects import ObjectStore, open_store

_MOST = 1_000


def add_governance(app: FastAPI, reconciler: Reconciler) -> None:
    """Add the calls to the API."""
    _add_access(app, reconciler)
    _add_audit(app, reconciler)
    _add_erasures(app, reconciler)
    _add_environments(app, reconciler)


def _add_access(app: FastAPI, reconciler: Reconciler) -> None:
    table = reconciler.store.access

    def change(policy: AccessPolicy | None, who: Identity) -> AccessPolicy:
        before = table.read()
        if before != policy:
            told = (_told(before), _told(policy))
            table.save(policy, audit.event(who, "access.change", "access", reconciler.now(), change=told))
            reconciler.ledger.wake()
        return policy or AccessPolicy()

    @app.get("/v1/whoami")
    async def whoami(who: Who) -> Identity:
        return who

    @app.get("/v1/access")
    async def read() -> AccessPolicy | None:
        return table.read()

    @app.put("/v1/access")
    async def write(policy: AccessPolicy, who: Who) -> AccessPolicy:
        return change(policy, who)

    @app.delete("/v1/access")
    async def remove(who: Who) -> AccessPolicy:
        return change(None, who)


def _told(policy: AccessPolicy | None) -> dict[str, object]:
    """Roles by person, as the audit log tells them; a token's digest is of no use to who reads it, but that it changed is."""
    if policy is None:
        return {}
    people = {
        name: {
            "roles": list(each.roles),
            "applications": list(each.applications),
            "token": each.token_sha256[:8],
            **({"logins": [str(login) for login in each.known_logins]} if each.logins else {}),
        }
        for name, each in policy.people.items()
    }
    return {"people": people, "stackToken": list(policy.stack_token)}


def _add_audit(app: FastAPI, reconciler: Reconciler) -> None:
    def newest(most: int, before: int | None, who: Identity) -> list[AuditEntry]:
        """What they may see: who did what to applications of others is not theirs."""
        objects = open_store(reconciler.settings.inputs.store)
        return audit.newest(objects, most, before, lambda entry: who.may(Permission.AUDIT, entry.subject))

    @app.get("/v1/audit")
    async def entries(
        who: Who, most: Annotated[int, Query(ge=1, le=_MOST)] = 50, before: Annotated[int | None, Query(ge=1)] = None
    ) -> tuple[AuditEntry, ...]:
        return tuple(await asyncio.to_thread(newest, most, before, who))

    @app.get("/v1/audit/anchor")
    async def anchor() -> AuditAnchor:
        return reconciler.store.audits.anchor()


def _add_erasures(app: FastAPI, reconciler: Reconciler) -> None:
    def note(who: Identity, action: str, name: str, reason: str, after: dict[str, object]) -> None:
        reconciler.store.audits.post([audit.event(who, action, name, reconciler.now(), reason=reason, change=({}, after))])
        reconciler.ledger.wake()

    @app.post("/v1/applications/{name}/erasures")
    async def begin(name: Name, begun: ErasureAnnouncement, who: Who) -> ErasureAnnouncement:
        gone = len(reconciler.store.reviews.forget(name, ErasedPeople((begun,))))
        note(who, "person.erase-begin", name, begun.reason, {**begun.told(), "reviewItems": gone})
        return begun

    @app.post("/v1/applications/{name}/data-sets/pruned")
    async def pruned(name: Name, told: PrunedData, who: Who) -> PrunedData:
        note(who, "data.prune", name, "", told.model_dump(mode="json"))
        return told

    @app.put("/v1/applications/{name}/erasures/{erasure}")
    async def end(name: Name, erasure: ErasureId, proof: ErasureProof, who: Who) -> ErasureProof:
        # Until it was announced in the object store, items of theirs may have been read from there, and labelled.
        objects = open_store(reconciler.settings.inputs.store)
        people = await asyncio.to_thread(announced, objects, name)
        gone = reconciler.store.reviews.forget(name, ErasedPeople(people))
        await asyncio.to_thread(_delete, objects, [truth_key(name, item) for item in gone])
        note(who, "person.erase", name, proof.reason, {"erasure": erasure, **proof.told()})
        return proof


def _delete(objects: ObjectStore, keys: Iterable[str]) -> None:
    for key in keys:
        objects.delete(key)


def _add_environments(app: FastAPI, reconciler: Reconciler) -> None:
    @app.post("/v1/environments/{environment}/orders")
    async def order(environment: Name, said: EnvironmentOrder, who: Who) -> Identity:
        """Note it, before whoever asks does it: where environments come from, no controller knows."""
        needed = (Permission.ENVIRONMENTS,)
        if others := [each for each in said.workloads if not who.may(Permission.ENVIRONMENTS, each)]:
            raise HTTPException(status.HTTP_403_FORBIDDEN, refusal(who, needed, others[0]))
        until = {} if said.until is None else {"until": said.until}
        noted = audit.event(
            who, f"environment.{said.verb}", environment, reconciler.now(), reason=said.reason, change=({}, until)
        )
        reconciler.store.audits.post([noted])
        reconciler.ledger.wake()
        return who
