"""Who may do what: people come in by their own tokens, and a refusal says what is missing."""

from __future__ import annotations

import pytest
from fake_cluster import TOKEN, FakeCluster
from fastapi.routing import APIRoute
from rollouts_in_memory import ADA, World, quick
from test_controller import bring, desired

from heliostat.controller.permissions import _NEEDS, needed
from heliostat.spec.roles import AccessPolicy, Identity, Permission, Person, Role, token_digest
from heliostat.spec.rollouts import Declaration, Phase
from heliostat.spec.strategies import Canary, CanaryStep
from heliostat.systems.controller_api import ControllerClient, ForbiddenError
from heliostat.systems.errors import PermanentError

__all__ = ["quick"]


def person(token, *roles, applications=()):
    return Person(token_sha256=token_digest(token), roles=roles, applications=applications)


POLICY = AccessPolicy(
    people={
        "ada": person("ada's", Role.APPROVER),
        "bob": person("bob's", Role.VIEWER),
        "eve": person("eve's", Role.APPROVER, applications=("taxis",)),
        "root": person("root's", Role.ADMIN),
    },
    stack_token=(Role.OPERATOR,),
)


@pytest.fixture
async def world(tmp_path):
    cluster = FakeCluster(tmp_path)
    async with cluster.running() as client:
        await bring(client, desired(1))
        yield World(cluster, client)


def as_(world, token):
    from heliostat.spec.addresses import TokenFile

    path = world.cluster.directory / f"{token}.token"
    path.write_text(token)
    import httpx

    address = world.cluster.address.model_copy(update={"credential": TokenFile(path=str(path))})
    return ControllerClient(address, httpx.ASGITransport(world.cluster.app))


async def test_only_who_has_the_role_approves_and_their_name_is_the_token_s(world):
    waits = Canary(steps=(CanaryStep(weight=50, approval=True), CanaryStep(weight=100)), retention_seconds=0)
    await world.client.grant(POLICY)
    await world.declare(2, waits)
    await world.phase(Phase.WAITING)
    with pytest.raises(ForbiddenError, match=r"the stack's own token may not approve flights: .* approver, admin"):
        await world.client.approve("flights", ADA)
    async with as_(world, "bob's") as bob:
        assert await bob.whoami() == Identity(name="bob", known=True, roles=(Role.VIEWER,))
        assert (await bob.read("flights")) is not None
        for call in (bob.approve, bob.abort):
            with pytest.raises(ForbiddenError, match="bob has viewer"):
                await call("flights", ADA)
        with pytest.raises(ForbiddenError):
            await bob.declare("flights", Declaration(desired=desired(3)))
        with pytest.raises(ForbiddenError, match="may not declare"):
            await bob.plan("flights", Declaration(desired=desired(3)))
        with pytest.raises(ForbiddenError):
            await bob.delete("flights")
    async with as_(world, "eve's") as eve:
        with pytest.raises(ForbiddenError, match="theirs are taxis"):
            await eve.approve("flights", ADA)
    async with as_(world, "ada's") as ada:
        await ada.approve("flights", ADA.model_copy(update={"by": "somebody else"}))
    await world.phase(Phase.SUCCEEDED)
    await world.cluster.ledger.flush()
    async with as_(world, "root's") as root:
        entries = await root.audit(50)
        with pytest.raises(ForbiddenError, match="may not audit"):
            await world.client.audit(50)
    [approved] = [each for each in entries if each.action == "rollout.approve"]
    assert (approved.by, approved.known) == ("ada", True), "who it was is not theirs to say"


async def test_roles_are_changed_by_who_may_grant_and_each_change_is_in_the_audit_log_without_a_token(world):
    assert await world.client.access() is None
    await world.client.grant(POLICY)
    with pytest.raises(ForbiddenError, match="may not grant"):
        await world.client.grant(None)
    async with as_(world, "root's") as root:
        await root.grant(POLICY)
        await root.grant(AccessPolicy(people=POLICY.people))
        await root.grant(None)
        await world.cluster.ledger.flush()
    entries = await world.client.audit(50)
    changes = [each for each in entries if each.action == "access.change"]
    assert [each.by for each in changes] == ["root", "root", "the stack's own token"], "the same once more is no change"
    assert changes[-1].after["people"]["ada"]["roles"] == ["approver"] and changes[0].after == {}
    assert token_digest("ada's") not in str(entries)
    async with as_(world, "ada's") as ada:
        with pytest.raises(PermanentError, match="401"):
            await ada.whoami()


async def test_who_has_some_applications_sees_those_alone_and_gives_nobody_any_right(world):
    admin = AccessPolicy(people={**POLICY.people, "ann": person("ann's", Role.ADMIN, applications=("taxis",))})
    await world.client.grant(admin)
    async with as_(world, "ann's") as ann:
        with pytest.raises(ForbiddenError, match="ann may grant of taxis alone, and this is of all applications"):
            await ann.grant(AccessPolicy(people={"ann": person("ann's", Role.ADMIN)}))
        with pytest.raises(ForbiddenError, match="ann may grant of taxis alone"):
            await ann.grant(None)
        assert await ann.list() == ()
        await ann.declare("taxis", Declaration(desired=desired(1)))
        await world.cluster.ledger.flush()
        assert [each.name for each in await ann.list()] == ["taxis"]
        assert {each.subject for each in await ann.audit(50)} == {"taxis"}, "who did what to others is not theirs to see"
    assert [each.name for each in await world.client.list()] == ["flights", "taxis"]
    async with as_(world, "root's") as root:
        assert {each.subject for each in await root.audit(50)} == {"flights", "taxis", "access"}


async def test_a_policy_outlives_the_controller(world):
    await world.client.grant(POLICY)
    world.cluster.start()
    async with world.cluster.client() as client:
        assert await client.access() == POLICY


async def test_without_a_policy_the_stack_s_token_is_good_for_everything_and_no_other_is(world):
    assert (await world.client.whoami()).roles == (Role.ADMIN,)
    async with world.cluster.raw() as raw:
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": TOKEN}):
            assert (await raw.get("/v1/whoami", headers=headers)).status_code == 401


def test_every_call_that_changes_something_says_what_it_needs(tmp_path):
    routes = {
        (method, route.path)
        for route in FakeCluster(tmp_path).app.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    changing = {each for each in routes if each[0] not in ("GET", "HEAD")}
    assert changing <= set(_NEEDS), "else it is for who may do everything"
    assert set(_NEEDS) <= routes, "what is not there any more needs nothing"
    assert needed("POST", "/v1/anything") == (Permission.GRANT,)
    assert needed("GET", "/v1/applications") == (Permission.SEE,)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"stack_token": ()}, "nobody could change this again"),
        ({"people": {"a": person("x", Role.ADMIN, applications=("one",))}, "stack_token": ()}, "nobody could change"),
        ({"people": {"a": person("x", Role.VIEWER), "b": person("x", Role.VIEWER)}}, "the same token"),
        ({"people": {"a b": person("x", Role.VIEWER)}}, "pattern"),
    ],
)  # fmt: skip
def test_a_policy_that_locks_everybody_out_is_refused(given, text):
    with pytest.raises(ValueError, match=text):
        AccessPolicy.model_validate(given)
