"""The resource that says who may do what: told to the controller, previewed by who is affected, and refused to who may not."""

from __future__ import annotations

import asyncio
from functools import partial

import httpx
import pytest
from fake_cluster import FakeCluster
from test_permissions import POLICY, person

from heliostat.provider import access
from heliostat.provider.access import AccessHandler
from heliostat.provider.resource import Context
from heliostat.spec.platform_resources import AccessInputs
from heliostat.spec.roles import AccessPolicy, Role
from heliostat.systems.controller_api import ControllerClient, ForbiddenError
from heliostat.systems.errors import PermanentError

HANDLER = AccessHandler()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    made = FakeCluster(tmp_path)
    client = partial(ControllerClient, transport=httpx.ASGITransport(made.app))
    monkeypatch.setattr(access, "ControllerClient", client)
    return made


def inputs(cluster, policy=POLICY):
    return AccessInputs(controller=cluster.address, people=policy.people, stack_token=policy.stack_token)


def context(told):
    return Context("urn", told.append, told.append, told.append, asyncio.Event())


async def test_it_is_told_to_the_controller_read_back_and_taken_away(cluster):
    told = []
    await HANDLER.preview(context(told), None, inputs(cluster))
    assert "ada may come in, as approver" in told
    assert any("may not change this any more" in text for text in told), "who runs `up` next needs a token of their own"
    made = await HANDLER.create(context(told), inputs(cluster))
    assert await HANDLER.read(context(told), made.identifier, made.outputs) == made.outputs
    with pytest.raises(PermanentError, match="may not grant"):
        await HANDLER.preview(context(told), made.outputs, inputs(cluster))
    with pytest.raises(ForbiddenError, match="may not grant"):
        await HANDLER.delete(context(told), made.identifier, made.outputs)


async def test_an_admin_s_token_in_the_environment_changes_it_and_the_preview_says_what_changes(cluster, monkeypatch):
    made = await HANDLER.create(context([]), inputs(cluster))
    monkeypatch.setenv("HELIOSTAT_TOKEN", "root's")
    people = {**POLICY.people, "ada": person("ada's", Role.VIEWER), "bob": person("another", Role.VIEWER)}
    del people["eve"]
    newer, told = inputs(cluster, AccessPolicy(people=people, stack_token=(Role.OPERATOR,))), []
    await HANDLER.preview(context(told), made.outputs, newer)
    assert told == [
        "ada is viewer (approver before)", "bob is viewer (viewer before), with another token", "eve may not come in any more",
    ]  # fmt: skip
    outputs = await HANDLER.update(context(told), "access", made.outputs, newer)
    assert (await HANDLER.read(context(told), "access", outputs)).people == people
    await HANDLER.delete(context(told), "access", outputs)
    monkeypatch.delenv("HELIOSTAT_TOKEN")
    assert await HANDLER.read(context(told), "access", outputs) is None


async def test_a_controller_that_is_not_up_yet_does_not_keep_a_preview_from_going_on(tmp_path, cluster, monkeypatch):
    def away(request):
        raise httpx.ConnectError("nobody")

    monkeypatch.setattr(access, "ControllerClient", partial(ControllerClient, transport=httpx.MockTransport(away)))
    told = []
    await HANDLER.preview(context(told), None, inputs(cluster))
    await HANDLER.delete(context(told), "access", (inputs(cluster)))
    assert "was not told" in told[-1]
