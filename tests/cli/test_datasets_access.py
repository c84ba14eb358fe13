"""Data sets are seen, and deleted, by who may: the stack's roles, as its controller keeps them."""

from __future__ import annotations

import json
import time

import pytest
from controller_over_http import Served
from mlflow_here import mlflow_here
from roles_over_http import Roles
from test_datasets_commands import MONTH, Data

from heliostat.spec.roles import Role


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    with mlflow_here(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def roles(deployed_platform, mlflow):
    found = Roles()
    with Served(found.app()) as url:
        deployed_platform.exports(platform={**deployed_platform.platform(url), "trackingUri": mlflow})
        yield found


class OwnData(Data):
    """Rows that no other test has: one process has one MLflow, and what trainings of other tests learnt from stays."""

    def make(self, *names, **given):
        return super().make(*names, **{"rows": 733, **given})


@pytest.fixture
def data(deployed_platform):
    return OwnData(deployed_platform.store_address)


def test_who_has_one_application_sees_its_data_set_alone(stack, data, roles):
    data.make()
    taxis = data.make("taxis", shift=2)
    assert {each["name"] for each in json.loads(stack.ok("datasets", "list", "--json"))} == {"flights"}
    for command in (("list", "taxis"), ("show", "taxis"), ("show", taxis), ("diff", "flights", "taxis")):
        ran = stack("datasets", *command)
        assert ran.code == 1, command
    assert "ada may not see taxis: theirs are flights" in stack("datasets", "list", "taxis").err
    roles.who = roles.who.model_copy(update={"applications": ()})
    assert len(stack.ok("datasets", "list").splitlines()) == 3


def test_only_who_may_declare_deletes_and_the_audit_log_hears_of_it_before(stack, data, roles):
    old = data.make(at=time.time() - 2 * MONTH)
    data.age(old)
    data.make(shift=1)
    refused = stack("datasets", "prune", "--yes")
    assert refused.code == 1
    assert "ada may not declare flights: that needs one of the roles operator, admin" in refused.err
    assert len(json.loads(stack.ok("datasets", "list", "--json"))) == 2
    assert "goes" in stack.ok("datasets", "prune", "--dry-run"), "what would go may be seen"
    roles.who = roles.who.model_copy(update={"roles": (Role.OPERATOR,)})
    assert f"deleted flights@{old[:12]}" in stack.ok("datasets", "prune", "--yes")
    assert roles.pruned == {"flights": [f"flights@{old[:12]}"]}


def test_what_somebody_may_not_see_still_keeps_what_it_was_made_of(stack, data, roles):
    from heliostat.spec.data_sets import Parent

    parent = data.make(at=time.time() - 2 * MONTH)
    data.age(parent)
    data.make(shift=1)
    data.make("taxis", shift=2, parents=(Parent(name="flights", digest=parent),))
    roles.who = roles.who.model_copy(update={"roles": (Role.OPERATOR,)})
    stack.ok("datasets", "prune", "--yes")
    assert roles.pruned == {}
    shown = stack.ok("datasets", "show", "flights@" + parent[:12])
    assert "parent      others" in shown and "taxis" not in shown + stack.ok("datasets", "list", "--json"), "but not its name"
    roles.who = roles.who.model_copy(update={"applications": ()})
    assert "parent      taxis@" in stack.ok("datasets", "show", "flights@" + parent[:12])
    assert parent in [each["digest"] for each in json.loads(stack.ok("datasets", "list", "--json"))]


def test_where_the_controller_is_away_it_is_said_and_nothing_is_deleted(stack, data, deployed_platform, mlflow):
    old = data.make(at=time.time() - 2 * MONTH)
    data.age(old)
    data.make(shift=1)
    deployed_platform.exports(platform={**deployed_platform.platform(), "trackingUri": mlflow})
    ran = stack("datasets", "list")
    assert ran.code == 0 and "who may see which data sets is not known" in ran.err
    assert stack("datasets", "prune", "--yes").code == 1
    assert len(json.loads(stack.ok("datasets", "list", "--json"))) == 2


def test_where_no_platform_is_up_nobody_keeps_a_policy(stack, data, deployed_platform):
    data.make()
    deployed_platform.exports(platform={"store": deployed_platform.store_address.model_dump(mode="json")})
    ran = stack("datasets", "list")
    assert ran.code == 0 and "who may see" not in ran.err
