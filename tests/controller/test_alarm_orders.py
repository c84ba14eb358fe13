"""Alarms are taken and kept silent by those whose role is good for it, and the audit log says who did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rollouts_in_memory import quick
from test_monitor_metrics import AREA, written
from test_permissions import POLICY, as_, world

from heliostat.monitoring.alarms import Status
from heliostat.monitoring.state import state_of
from heliostat.spec.alarm_orders import AcknowledgeOrder, SilenceOrder, UnsilenceOrder
from heliostat.spec.monitoring import states
from heliostat.systems.controller_api import ForbiddenError
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import Directory
from heliostat.systems.revisions import Revisions

__all__ = ["quick", "world"]
TAKE = AcknowledgeOrder(alarm=AREA.key, by="somebody else")


@pytest.fixture
def alarms(world):
    """The alarms of a watched application, as they are now."""
    store = written(Directory(world.cluster.directory / "objects"))
    return lambda: state_of(Revisions(store, states("flights")).newest()[1]).alarms


def silence(**changes):
    given = {"alarms": "flights/quality/*", "until": datetime.now(UTC) + timedelta(hours=2), "why": "late", "by": "x"}
    return SilenceOrder(**given | changes)


async def test_who_may_takes_an_alarm_in_the_name_that_the_token_has(world, alarms):
    await world.client.grant(POLICY)
    async with as_(world, "bob's") as bob:
        for call, order in ((bob.acknowledge, TAKE), (bob.silence, silence())):
            with pytest.raises(ForbiddenError, match=r"bob may not take alarms of flights: .*approver, operator"):
                await call("flights", order)
        with pytest.raises(ForbiddenError):
            await bob.unsilence("flights", UnsilenceOrder(alarms="flights/quality/*", by="x"))
    async with as_(world, "eve's") as eve:
        with pytest.raises(ForbiddenError, match="taxis"):
            await eve.acknowledge("flights", TAKE)
    assert alarms().alarms[AREA.key].status is Status.FIRING
    async with as_(world, "ada's") as ada:
        await ada.acknowledge("flights", TAKE)
        await ada.acknowledge("flights", TAKE)
        await ada.silence("flights", silence())
        assert [each.who for each in alarms().silences] == ["ada"]
        await ada.unsilence("flights", UnsilenceOrder(alarms="flights/quality/*", by="x"))
        await ada.unsilence("flights", UnsilenceOrder(alarms="flights/quality/*", by="x"))
    assert alarms().alarms[AREA.key].acknowledged_by == "ada" and alarms().silences == ()
    await world.cluster.ledger.flush()
    async with as_(world, "root's") as root:
        told = [each for each in reversed(await root.audit(50)) if each.action.startswith("alarm.")]
    assert [(each.action, each.by, each.known) for each in told] == [
        ("alarm.acknowledge", "ada", True), ("alarm.silence", "ada", True), ("alarm.unsilence", "ada", True),
    ], "what changes nothing is not told"  # fmt: skip
    assert told[1].reason == "late" and told[1].after["alarms"] == "flights/quality/*"


async def test_without_roles_whoever_has_the_stack_s_token_says_who_they_are(world, alarms):
    await world.client.acknowledge("flights", TAKE)
    assert alarms().alarms[AREA.key].acknowledged_by == "somebody else"


async def test_what_cannot_be_is_refused_and_noted_nowhere(world, alarms):
    with pytest.raises(PermanentError, match="no open alarm 'flights/drift/carrier'; open are flights/quality/roc_auc"):
        await world.client.acknowledge("flights", AcknowledgeOrder(alarm="flights/drift/carrier", by="x"))
    with pytest.raises(PermanentError, match="is over already"):
        await world.client.silence("flights", silence(until=datetime(2020, 1, 1, tzinfo=UTC)))
    with pytest.raises(PermanentError, match="taxis is not watched: declare `monitor`"):
        await world.client.silence("taxis", silence())
    await world.cluster.ledger.flush()
    assert [each for each in await world.client.audit(50) if each.action.startswith("alarm.")] == []


async def test_a_state_of_another_release_is_left_alone(world, alarms):
    store = Directory(world.cluster.directory / "objects")
    Revisions(store, states("flights")).change(lambda _: b'{"unheard": 1}')
    with pytest.raises(PermanentError, match="cannot be read: another release wrote it"):
        await world.client.silence("flights", silence())
