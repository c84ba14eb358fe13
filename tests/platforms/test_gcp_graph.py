"""Everything that the platform makes in Google Cloud, as its provider is asked for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliostat.engine.protocol.language_host.schemas import mistakes
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import name_of
from tests.platforms import golden
from tests.platforms.gcp_specs import section
from tests.platforms.recorded_stack import RecordedStack

PACKAGES = ("gcp", "kubernetes", "heliostat")
LABELS = {"owner": "ml", "environment": "production", "cost-centre": "c-42"}
AGENT = "serviceAccount:service-123456789012@{}.iam.gserviceaccount.com"


def stack_in(folder: Path, **changes: Any) -> RecordedStack:
    return RecordedStack(folder, {"heliostat:platform": section(**changes)}, PACKAGES)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> RecordedStack:
    """The whole platform, by the program of every stack."""
    return stack_in(tmp_path_factory.mktemp("gcp"))


@pytest.fixture
async def made(shared: RecordedStack) -> RecordedStack:
    """Previewed and made once for all tests that only look."""
    if not shared.resources():
        assert (await shared.preview()).succeeded, shared.errors()
        assert (await shared.up()).succeeded, shared.errors()
    return shared


def of_kind(stack: RecordedStack, kind: str) -> list[Resource]:
    found = [each for each in stack.resources() if each.type == kind]
    assert found, kind
    return found


async def test_the_plan_is_the_one_that_was_reviewed(made: RecordedStack) -> None:
    golden.check("gcp", [_ordered(each) for each in made.plan()])


def _ordered(value: Any) -> Any:
    """Typed arguments come in no order; an entry's own keys do."""
    if isinstance(value, dict):
        first = [key for key in ("type", "name", "inputs") if key in value]
        return {key: _ordered(value[key]) for key in [*first, *sorted(value.keys() - set(first))]}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


async def test_every_argument_is_one_that_the_typed_sdk_takes(made: RecordedStack) -> None:
    entries = [each for each in made.plan() if each["type"].startswith("gcp:")]
    assert len(entries) > 50
    assert [wrong for each in entries for wrong in mistakes(each["type"], each.get("inputs", {}))] == []


async def test_a_second_up_touches_nothing(made: RecordedStack) -> None:
    assert (await made.up()).succeeded, made.errors()
    assert made.touched() == []


async def test_nobody_reaches_a_node_a_database_or_the_cluster_from_outside(made: RecordedStack) -> None:
    (database,) = of_kind(made, "gcp:sql/databaseInstance:DatabaseInstance")
    reached = database.inputs["settings"]["ipConfiguration"]
    assert (reached["ipv4Enabled"], reached["sslMode"]) == (False, "ENCRYPTED_ONLY")
    (cluster,) = of_kind(made, "gcp:container/cluster:Cluster")
    assert cluster.inputs["privateClusterConfig"]["enablePrivateEndpoint"] is True
    assert cluster.inputs["masterAuthorizedNetworksConfig"]["cidrBlocks"] == []
    for pool in of_kind(made, "gcp:container/nodePool:NodePool"):
        assert pool.inputs["networkConfig"]["enablePrivateNodes"] is True
    (rule,) = of_kind(made, "gcp:compute/firewall:Firewall")
    assert rule.inputs["sourceRanges"] == ["172.16.0.0/28"]


async def test_the_bucket_is_private_and_keeps_what_was_overwritten(made: RecordedStack) -> None:
    (bucket,) = of_kind(made, "gcp:storage/bucket:Bucket")
    assert (bucket.inputs["publicAccessPrevention"], bucket.inputs["uniformBucketLevelAccess"]) == ("enforced", True)
    assert bucket.inputs["versioning"] == {"enabled": True}
    members = [each.inputs["member"] for each in of_kind(made, "gcp:storage/bucketIAMMember:BucketIAMMember")]
    assert all(each.startswith("principal://iam.googleapis.com/projects/123456789012/") for each in members)
    assert {each.rpartition("/ns/")[2] for each in members} == {
        f"heliostat/sa/{pod}" for pod in ("ray", "mlflow", "controller")
    }


async def test_everything_that_lies_somewhere_is_encrypted_with_a_key_that_only_its_service_may_use(
    made: RecordedStack,
) -> None:
    keys = {each.id: each.urn.rpartition("-")[2] for each in of_kind(made, "gcp:kms/cryptoKey:CryptoKey")}
    used = {
        "store": _one(made, "gcp:storage/bucket:Bucket")["encryption"]["defaultKmsKeyName"],
        "database": _one(made, "gcp:sql/databaseInstance:DatabaseInstance")["encryptionKeyName"],
        "registry": _one(made, "gcp:artifactregistry/repository:Repository")["kmsKeyName"],
        "cluster": _one(made, "gcp:container/cluster:Cluster")["databaseEncryption"]["keyName"],
        "disks": _one(made, "kubernetes:storage.k8s.io/v1:StorageClass")["parameters"]["disk-encryption-kms-key"],
    }
    assert {purpose: keys[key] for purpose, key in used.items()} == {purpose: purpose for purpose in used}
    pools = of_kind(made, "gcp:container/nodePool:NodePool")
    assert {keys[each.inputs["nodeConfig"]["bootDiskKmsKey"]] for each in pools} == {"disks"}
    grants = {
        keys[each.inputs["cryptoKeyId"]]: each.inputs["member"]
        for each in of_kind(made, "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember")
    }
    assert grants == {
        "store": AGENT.format("gs-project-accounts"),
        "database": AGENT.format("gcp-sa-cloud-sql"),
        "registry": AGENT.format("gcp-sa-artifactregistry"),
        "cluster": AGENT.format("container-engine-robot"),
        "disks": AGENT.format("compute-system"),
    }


def _one(stack: RecordedStack, kind: str) -> dict[str, Any]:
    (found,) = of_kind(stack, kind)
    return found.inputs


async def test_whoever_pays_is_on_everything(made: RecordedStack) -> None:
    provider = next(each for each in made.resources() if each.type == "pulumi:providers:gcp")
    labels = provider.inputs["defaultLabels"]
    assert (json.loads(labels) if isinstance(labels, str) else labels) == LABELS
    assert _one(made, "gcp:sql/databaseInstance:DatabaseInstance")["settings"]["userLabels"] == LABELS
    assert _one(made, "gcp:container/cluster:Cluster")["resourceLabels"] == LABELS
    for pool in of_kind(made, "gcp:container/nodePool:NodePool"):
        assert pool.inputs["nodeConfig"]["resourceLabels"] == LABELS
    assert all(each.provider.startswith(provider.urn) for each in made.resources() if each.type.startswith("gcp:"))


async def test_slices_are_whole_and_each_in_one_zone(made: RecordedStack) -> None:
    pools = {name_of(each.urn): each.inputs for each in of_kind(made, "gcp:container/nodePool:NodePool")}
    assert set(pools) == {"system", "cpu", "l4", "v6e-0", "v6e-1"}
    stays, comes = pools["v6e-0"], pools["v6e-1"]
    assert stays["nodeCount"] == 4
    assert "autoscaling" not in stays
    assert comes["autoscaling"] == {"minNodeCount": 0, "maxNodeCount": 4, "locationPolicy": "ANY"}
    assert comes["initialNodeCount"] == 0
    for each in (stays, comes):
        assert each["placementPolicy"] == {"type": "COMPACT", "tpuTopology": "4x4"}
        assert len(each["nodeLocations"]) == 1
    assert "placementPolicy" not in pools["l4"]
    (gpu,) = pools["l4"]["nodeConfig"]["guestAccelerators"]
    assert (gpu["type"], gpu["count"]) == ("nvidia-l4", 1)


async def test_the_password_is_in_no_state_and_the_address_needs_none(made: RecordedStack) -> None:
    assert "sesame" not in made.stored()
    exported = made.outputs()["platform"]
    cluster = {"kind": "gke", "project": "acme-ml", "location": "europe-west4", "name": "heliostat-dev"}
    assert exported["controller"]["proxy"]["cluster"] == exported["ray"]["credential"]["cluster"] == cluster
    assert exported["store"] == {"uri": "gs://acme-models"}
    kubeconfig = next(each for each in made.resources() if each.type == "pulumi:providers:kubernetes").inputs["kubeconfig"]
    assert "gke-gcloud-auth-plugin" in kubeconfig
    assert not any(word in kubeconfig for word in ("token", "password", "client-key"))


async def test_data_and_what_it_cannot_be_read_without_are_protected_and_outlive_what_lifts_that(made: RecordedStack) -> None:
    data = {
        "gcp:kms/cryptoKey:CryptoKey",
        "gcp:sql/databaseInstance:DatabaseInstance",
        "gcp:storage/bucket:Bucket",
    }
    assert kinds(each.urn for each in made.resources() if each.protect) == data
    assert kinds(each.urn for each in made.resources() if each.retain_on_delete) == data | {
        "gcp:compute/globalAddress:GlobalAddress",
        "gcp:compute/network:Network",
        "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
        "gcp:kms/keyRing:KeyRing",
        "gcp:servicenetworking/connection:Connection",
        "gcp:sql/database:Database",
        "gcp:sql/user:User",
    }


async def test_destroy_refuses_what_is_protected(made: RecordedStack, tmp_path: Path) -> None:
    stack = copy_of(made, tmp_path)
    assert not (await stack.destroy()).succeeded
    assert "acme-models" in stack.errors()
    assert kinds(stack.world()) >= {"gcp:storage/bucket:Bucket", "gcp:sql/databaseInstance:DatabaseInstance"}


async def test_a_change_touches_what_it_should_and_everything_goes_where_that_was_asked_for(
    made: RecordedStack, tmp_path: Path
) -> None:
    stack, groups = copy_of(made, tmp_path), section()["groups"]
    stack.config["heliostat:platform"] = section(
        onDestroy="delete",
        cloudSql={"storageGib": 100},
        gke={"publicEndpointCidrs": ["203.0.113.0/24"]},
        groups={**groups, "l4": {**groups["l4"], "max": 6}, "v6e": {**groups["v6e"], "max": 3}},
    )
    assert (await stack.up()).succeeded, stack.errors()
    changed = [each for each in stack.touched() if not each.startswith("update kubernetes:")]
    assert sorted(changed) == [
        "create gcp:container/nodePool:NodePool v6e-2",
        "update gcp:container/cluster:Cluster heliostat-dev",
        "update gcp:container/nodePool:NodePool l4",
        "update gcp:sql/databaseInstance:DatabaseInstance heliostat-dev-mlflow",
        "update gcp:storage/bucket:Bucket acme-models",
    ]
    assert (await stack.destroy()).succeeded, stack.errors()
    # These went with their instance.
    assert kinds(stack.world()) == {"gcp:sql/database:Database", "gcp:sql/user:User"}


def copy_of(stack: RecordedStack, folder: Path) -> RecordedStack:
    """The same stack, to be changed."""
    shutil.copytree(stack.folder, folder, dirs_exist_ok=True)
    return replace(stack, folder=folder, config=dict(stack.config), events=[], checkpoint=deepcopy(stack.checkpoint))


def kinds(urns: Iterable[str]) -> set[str]:
    return {urn.split("::")[2].rpartition("$")[2] for urn in urns}


async def test_what_does_not_fit_is_refused_in_the_preview_with_every_mistake(tmp_path: Path) -> None:
    stack = stack_in(tmp_path, operator={"install": True}, network={"podsCidr": "10.16.0.0/21"})
    assert not (await stack.preview()).succeeded
    assert "room for 8" in stack.errors()
    assert "set operator.install to false" in stack.errors()
    assert "Traceback" not in stack.errors()
