"""What a config changes of AWS's part of the platform."""

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from heliostat.platforms.aws.names import Names
from heliostat.platforms.aws.scope import Scope
from heliostat.platforms.aws.store import Store
from heliostat.spec.platforms.base import OnDestroy
from tests.platforms.aws_stack import PLATFORM
from tests.platforms.terraform import of_platform

# pulumi-aws warns of its own deprecated classes while Python loads it.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pulumi_aws")
ZONES = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]


def test_with_a_gateway_a_zone_each_zones_nodes_go_out_by_their_own():
    found = of_platform(PLATFORM | {"network": {"zones": ZONES, "natGateway": "per-zone"}})
    assert set(found["aws_nat_gateway"]) == {f"nat-{zone}" for zone in ZONES}
    for zone in ZONES:
        assert found["aws_route"][f"private-{zone}"]["nat_gateway_id"] == f"${{aws_nat_gateway.nat-{zone}.id}}"


def test_a_zone_that_comes_moves_no_other():
    before, after = of_platform(PLATFORM), of_platform(PLATFORM | {"network": {"zones": [*reversed(ZONES)]}})
    for kind in ("aws_subnet", "aws_route_table_association", "aws_route", "aws_nat_gateway", "aws_eip"):
        assert before[kind].items() <= after[kind].items()
    assert len(after["aws_subnet"]) == len(before["aws_subnet"]) + 2


def test_what_is_to_go_with_the_stack_is_in_nobodys_way():
    found = of_platform(PLATFORM | {"onDestroy": "delete"})
    database = found["aws_db_instance"]["database"]
    assert (database["deletion_protection"], database["skip_final_snapshot"]) == (False, True)
    assert "final_snapshot_identifier" not in database
    assert found["aws_s3_bucket"]["objects"]["force_destroy"] is True
    assert found["aws_ecr_repository"]["images"]["force_delete"] is True


def test_without_a_name_from_outside_the_clusters_api_answers_in_the_network_alone():
    endpoint = of_platform(PLATFORM | {"eks": {}})["aws_eks_cluster"]["cluster"]["vpc_config"]
    assert (endpoint["endpoint_private_access"], endpoint["endpoint_public_access"]) == (True, False)
    assert "public_access_cidrs" not in endpoint


def test_without_gpus_no_image_has_a_driver():
    found = of_platform(PLATFORM | {"groups": {"cpu": PLATFORM["groups"]["cpu"]}})
    assert {each["ami_type"] for each in found["aws_eks_node_group"].values()} == {"AL2023_x86_64_STANDARD"}


def test_without_a_budget_there_is_none():
    assert "aws_budgets_budget" not in of_platform({key: each for key, each in PLATFORM.items() if key != "budget"})


@pytest.mark.parametrize(
    ("key", "value", "touched"),
    [
        ("storageGib", 100, {"allocated_storage", "max_allocated_storage"}),
        ("machine", "db.m7g.large", {"instance_class"}),
        ("backupDays", 30, {"backup_retention_period"}),
        ("multiAz", False, {"multi_az"}),
    ],
)
def test_a_database_whose_size_changes_stays_the_one_it_is(key, value, touched):
    before, after = (of_platform(PLATFORM | {"rds": rds})["aws_db_instance"]["database"] for rds in ({}, {key: value}))
    assert {each for each in before if before[each] != after[each]} == touched


class Planned(Mocks):
    """An engine that plans and makes nothing: what is new has no id yet."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return None, dict(args.inputs)

    def call(self, args: MockCallArgs) -> dict[str, Any]:
        return {}


def test_a_bucket_that_is_not_there_yet_has_no_address_to_look_into():
    known: list[Any] = []

    def program() -> pulumi.Output[Any]:
        scope = Scope(Names.of("heliostat-dev", "eu-central-1", "123456789012"), {}, OnDestroy.KEEP)
        store = Store("store", "bucket", "arn:aws:kms:eu-central-1:123456789012:key/1", scope)
        return pulumi.Output.from_input(asyncio.ensure_future(keep(store.address)))

    async def keep(address: pulumi.Output[Any]) -> None:
        known.append(await address.is_known())

    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(Planned(), project="heliostat", stack="dev", preview=True)
    pulumi.runtime.test(program)()
    assert known == [False]
