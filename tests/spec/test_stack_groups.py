"""Groups of nodes in a stack's config: held against the cloud, the quota and the workloads that name them, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.spec.stack import ConfigError, parse

AWS: dict[str, Any] = {
    "kind": "aws",
    "region": "eu-central-1",
    "account": "123456789012",
    "network": {"zones": ["eu-central-1a", "eu-central-1b"]},
    "bucket": "some-models",
    "tags": {"owner": "ml", "environment": "test", "costCentre": "research"},
    "image": f"example.com/heliostat@sha256:{'a' * 64}",
    "groups": {
        "a10g": {"kind": "gpu", "type": "A10G", "max": 4},
        "few": {"kind": "cpu", "cpus": 3, "memoryGib": 12, "max": 2},
    },
}
GCP: dict[str, Any] = {
    **{key: AWS[key] for key in ("bucket", "tags", "image")},
    "kind": "gcp",
    "project": "some-project",
    "region": "us-central1",
    "zones": ["us-central1-a"],
    "groups": {"v6e": {"kind": "tpu", "type": "v6e", "topology": "4x4", "max": 2}},
}


def stack(platform: dict[str, Any], **workload: Any) -> dict[str, Any]:
    return {"platform": platform, "workloads": {"flights": workload} if workload else {}}


def on(group: str, **scaling: Any) -> dict[str, Any]:
    return {"scaling": {"group": group, **scaling}}


def told(sections: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as refused:
        parse(sections, "c.yaml", ["flights"])
    lines = [line.strip().removeprefix("c.yaml: ") for line in str(refused.value).splitlines()[1:]]
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    "sections",
    [
        stack(AWS),
        stack(AWS, training=on("a10g", workers=4)),
        stack(AWS, training=on("few", workers=6), serving={"group": "a10g", "gpusPerReplica": 1}),
        stack(GCP, training=on("v6e", workers=8)),
        stack({**AWS, "quota": {"A10G": 4, "H100": 0}}),
        stack({**GCP, "quota": {"v6e": 32}}),
    ],
)
def test_what_fits_is_taken(sections: dict[str, Any]) -> None:
    assert parse(sections, "c.yaml", ["flights"]).platform is not None


def test_a_cloud_s_mistakes_are_told_beside_those_of_other_parts_and_of_workloads() -> None:
    groups = {"h100": {"kind": "gpu", "type": "H100", "count": 8, "max": 1}, **AWS["groups"]}
    platform = {**AWS, "account": "x", "groups": groups, "quota": {"A10G": 3}}
    found = told(stack(platform, training=on("a10g", workers=9), serving={"group": "nowhere"}))
    assert set(found) == {
        "heliostat:platform.account",
        "heliostat:platform.groups.h100.type",
        "heliostat:platform.quota.A10G",
        "heliostat:workloads.flights.training.scaling.group",
        "heliostat:workloads.flights.serving.group",
    }
    assert "eu-central-1 has no H100; there are: " in found["heliostat:platform.groups.h100.type"]
    assert "3 are allowed, and the groups may have 4 A10G (4 of a10g)" in found["heliostat:platform.quota.A10G"]
    assert "ask for 4 or fewer" in found["heliostat:workloads.flights.training.scaling.group"]
    assert (
        found["heliostat:workloads.flights.serving.group"] == "the platform has no group 'nowhere'; there are: a10g, few, h100"
    )


def test_a_quota_of_zero_allows_none_and_counts_the_chips_of_slices() -> None:
    found = told(stack({**GCP, "quota": {"v6e": 0}}))
    assert "none is allowed, and the groups may have 32 v6e (32 of v6e)" in found["heliostat:platform.quota.v6e"]


def test_a_training_on_slices_takes_whole_ones() -> None:
    found = told(stack(GCP, training=on("v6e", workers=6)))
    assert "no multiple of 4; ask for 8" in found["heliostat:workloads.flights.training.scaling.group"]


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_a_platform_without_groups_has_none_to_name(kind: str) -> None:
    ray = {
        "ray": {"url": "http://r:8265"}, "tracking": {"uri": "http://m:5000"}, "store": {"kind": "s3", "bucket": "models"},
    }  # fmt: skip
    found = told(stack({"kind": kind, **(ray if kind == "ray" else {})}, training=on("a10g")))
    assert "has no groups of nodes: 'a10g' can be named on" in found["heliostat:workloads.flights.training.scaling.group"]


def test_a_group_of_another_stack_s_platform_is_looked_for_when_that_is_read() -> None:
    sections = {"platformStack": "organization/heliostat/platform", "workloads": {"flights": {"training": on("a10g")}}}
    assert parse(sections, "c.yaml", ["flights"]).workloads["flights"].training.scaling.group == "a10g"


def test_gpus_of_a_cluster_that_exists_say_how_large_a_worker_is() -> None:
    platform = {
        "kind": "kubernetes",
        "store": {"kind": "s3", "bucket": "models"},
        **{key: AWS[key] for key in ("tags", "image")},
        "groups": {"h100": {"kind": "gpu", "type": "H100", "cpus": 8, "max": 1}, "few": AWS["groups"]["few"]},
    }
    assert set(told(stack(platform))) >= {"heliostat:platform.groups.h100.memoryGib"}


def test_a_pinned_version_is_not_trained_wherever_its_training_would_run() -> None:
    sections = stack(AWS, model="models:/flights/7", training=on("nowhere"))
    assert parse(sections, "c.yaml", ["flights"]).workloads["flights"].model


def own(group: str | None = None) -> dict[str, Any]:
    return {"cluster": "own", **(on(group, workers=1) if group else {})}


def test_a_training_with_a_cluster_of_its_own_names_the_group_that_this_has() -> None:
    assert parse(stack(AWS, training=own("a10g")), "c.yaml", ["flights"])
    text = told(stack(AWS, training=own()))["heliostat:workloads.flights.training.cluster"]
    assert "name it in training.scaling.group (there are: a10g, few)" in text


@pytest.mark.parametrize("platform", [{}, {"kind": "local"}, {"kind": "ray"}])
def test_without_kubernetes_a_training_has_no_cluster_of_its_own(platform: dict[str, Any]) -> None:
    found = told({"platform": platform, "workloads": {"flights": {"training": own()}}})
    text = found["heliostat:workloads.flights.training.cluster"]
    assert "leave `cluster` out, or take a platform of the kinds `kubernetes`, `aws` or `gcp`" in text


def test_of_a_version_that_is_pinned_no_training_is_judged() -> None:
    assert parse(stack(AWS, training=own(), model="models:/flights/1"), "c.yaml", ["flights"])


def test_where_the_platform_is_another_stacks_the_plugin_judges() -> None:
    sections = {"platformStack": "organization/heliostat/prod", "workloads": {"flights": {"training": own()}}}
    assert parse(sections, "c.yaml", ["flights"])
