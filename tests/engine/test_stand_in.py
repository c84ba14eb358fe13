"""Previews of resources whose plugin is not on this machine, by their typed SDK alone; and what acts, which refuses them."""

from __future__ import annotations

import asyncio
import os
from importlib.metadata import version
from typing import Any

import pytest
from engine_harness import Lab
from stand_in_program import PLATFORM

from heliostat.engine.events import Diagnostic, Outputs, StepStarted, Summary
from heliostat.engine.planning.request import Import
from heliostat.engine.state.snapshot import UNKNOWN, Resource, Secret, Snapshot
from heliostat.engine.state.urns import name_of, type_of

STACK = "urn:pulumi:dev::lab"
ROOT = f"{STACK}::pulumi:pulumi:Stack::lab-dev"
OFFLINE = """
import socket

connect = socket.socket.connect
def only_here(one, address):
    if one.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise RuntimeError(f"something reached for {address}")
    return connect(one, address)
socket.socket.connect = only_here
"""


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """One that keeps what Python compiles of an SDK; each of these tests has its program in a folder of its own."""
    lab.environment = {"PYTHONDONTWRITEBYTECODE": ""}
    return lab


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, Summary]:
    """The platform's preview, in an environment that holds nothing but where programs are."""
    lab = Lab(tmp_path_factory.mktemp("platform"), environment={"PYTHONDONTWRITEBYTECODE": ""})
    lab.stacks.others = {"other": {"x": Secret("opensesame")}}
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - {"PATH", "PYTHONPATH"}:
            patch.delenv(name)
        return lab, asyncio.run(lab.preview(OFFLINE + PLATFORM))


def steps_of(lab: Lab) -> dict[str, StepStarted]:
    return {name_of(one.urn): one for one in lab.events if isinstance(one, StepStarted)}


def outputs_of(lab: Lab) -> dict[str, Any]:
    return next(one.new for one in lab.events if isinstance(one, Outputs))


def notices(lab: Lab) -> list[str]:
    return [
        one.message for one in lab.events if isinstance(one, Diagnostic) and one.message.startswith("no provider has checked")
    ]


def test_the_whole_graph_is_shown_with_no_plugin_no_credentials_and_no_network(platform: tuple[Lab, Summary]) -> None:
    lab, result = platform
    assert result.succeeded, lab.said("error")
    names = {"vpc", "subnet", "bucket", "cluster", "group", "database", "ns", "dep", "ray", "release", "held", "pool"}
    assert names | {"there", "kp"} <= {name for name, one in steps_of(lab).items() if one.op == "create"}
    assert {name for name, one in steps_of(lab).items() if one.op == "read"} == {"seen", "other"}


def test_the_steps_have_the_inputs_with_what_is_not_known_yet_as_such(platform: tuple[Lab, Summary]) -> None:
    steps = steps_of(platform[0])
    assert steps["group"].inputs["scalingConfig"] == {"minSize": 0, "maxSize": 2, "desiredSize": 0}
    assert (steps["group"].inputs["clusterName"], steps["subnet"].inputs["availabilityZone"]) == (UNKNOWN, UNKNOWN)
    assert steps["dep"].inputs["metadata"] == {"namespace": "ml"}
    assert steps["ray"].inputs["spec"] == {"a_b": {"c": 1}}
    assert steps["kp"].inputs["kubeconfig"] == UNKNOWN


def test_outputs_are_known_as_far_as_the_program_says_them_and_secrets_stay_secret(platform: tuple[Lab, Summary]) -> None:
    found = outputs_of(platform[0])
    assert (found["namespace"], found["image"]) == ("ml", "i")
    assert [found[key] for key in ("sg", "name", "seen", "bucket")] == [UNKNOWN] * 4
    assert isinstance(found["password"], Secret)
    assert isinstance(found["other"], Secret)
    assert "hunter2" not in repr(platform[0].events)


async def test_what_is_made_of_an_id_that_only_the_cloud_gives_is_not_known(lab: Lab) -> None:
    result = await lab.preview("""
        import pulumi_aws as aws
        made = aws.s3.Bucket("made", bucket="models")
        pulumi.export("uri", pulumi.Output.concat("s3://", made.id))
    """)
    assert result.succeeded, lab.said("error")
    assert outputs_of(lab)["uri"] == UNKNOWN


def test_all_packages_are_told_at_once_with_their_sdks_and_versions_as_unchecked(platform: tuple[Lab, Summary]) -> None:
    (told,) = notices(platform[0])
    assert "resources of 'aws', 'gcp' and 'kubernetes': their plugins are not on this machine" in told
    for package in ("aws", "gcp", "kubernetes"):
        assert f"pulumi_{package} {version(f'pulumi-{package}')}" in told
    assert "`pulumi up`" in told


def test_a_component_that_only_the_plugin_could_expand_is_shown_and_told_of(platform: tuple[Lab, Summary]) -> None:
    assert steps_of(platform[0])["held"].op == "create"
    assert f"{STACK}::kubernetes:yaml/v2:ConfigGroup::held" in notices(platform[0])[0]


async def test_the_mistakes_of_all_resources_are_told_at_once_each_with_its_path(lab: Lab) -> None:
    result = await lab.preview("""
        import pulumi_aws as aws
        group = aws.eks.NodeGroup(
            "group", cluster_name="c", node_role_arn="r", subnet_ids=["s"], scaling_config={"min_sise": 0, "max_size": "x"}
        )
        aws.s3.BucketVersioning("versions", bucket=group.cluster_name, versioning_configuration={"state": "Enabled"})
        aws.Provider("p", default_tags="not json")
        Lab("own", size=1)
        """)
    assert not result.succeeded
    told = lab.said("error")
    for name in ("min_sise", "desired_size", "min_size", "max_size"):
        assert f"resource 'group' has a problem; property scaling_config.{name}:" in told
    assert "property versioning_configuration.state: there is no such argument; there is" in told
    assert "property versioning_configuration.status: is required, and missing" in told
    assert "property default_tags: is a string, and has to be a mapping as ProviderDefaultTagsArgs describes it" in told
    assert told.count("has a problem") == 7
    assert not lab.checkpoint.saves


async def test_a_key_of_the_configuration_that_the_provider_does_not_have_is_told(lab: Lab) -> None:
    lab.config = {"aws:regoin": "eu-west-1"}
    result = await lab.preview("import pulumi_aws as aws\naws.s3.Bucket('b')")
    assert not result.succeeded
    assert "property regoin: there is no such argument; there are 'region', 'sts_region'" in lab.said("error")


async def test_a_package_without_a_typed_sdk_is_refused_naming_the_cli(lab: Lab) -> None:
    result = await lab.preview("pulumi.CustomResource('nosuch:index:Thing', 'x', {'a': 1})")
    assert not result.succeeded
    assert "no typed SDK of it (pulumi_nosuch)" in lab.said("error")
    assert "official CLI" in lab.said("error")


async def test_a_function_that_returns_a_plain_value_is_refused_with_what_to_call_instead(lab: Lab) -> None:
    result = await lab.preview("import pulumi_aws as aws\nprint(aws.get_availability_zones().names)")
    assert not result.succeeded
    assert "the result of the function aws:index/getAvailabilityZones:getAvailabilityZones is not known" in lab.said("error")
    assert "Call get_availability_zones_output(...) instead" in lab.said("error")


async def test_a_function_that_says_which_resources_there_are_is_refused(lab: Lab) -> None:
    result = await lab.preview("""
        import pulumi_kubernetes as k
        k.yaml.ConfigGroup("g", yaml=["kind: ConfigMap\\napiVersion: v1\\nmetadata: {name: a}"])
        """)
    assert not result.succeeded
    assert "kubernetes:yaml:decode" in lab.said("error")
    assert "declare them one by one" in lab.said("error")


# --- against a state that the official CLI left


def stored(type_: str, name: str, provider: Resource | None, parent: str = ROOT, **of: Any) -> Resource:
    below = "" if parent == ROOT else f"{type_of(parent)}$"
    custom = of.pop("custom", True)
    served_by = f"{provider.urn}::{provider.id}" if provider else ""
    of = {"id": f"{name}-id" if custom else "", "outputs": of.get("inputs", {}), **of}
    return Resource(urn=f"{STACK}::{below}{type_}::{name}", type=type_, custom=custom, parent=parent, provider=served_by, **of)


def default_provider(package: str) -> Resource:
    number = version(f"pulumi-{package}")
    type_, inputs = f"pulumi:providers:{package}", {"version": number}
    urn = f"{STACK}::{type_}::default_{number.replace('.', '_')}"
    return Resource(urn=urn, type=type_, custom=True, id="0-0-0", inputs={**inputs, "__internal": {}}, outputs=inputs)


def stack_of_the_cli() -> Snapshot:
    aws, kubernetes = default_provider("aws"), default_provider("kubernetes")
    named = {"bucket": "kept-1234567", "__defaults": ["bucket"], "tags": {"a": "b", "__defaults": []}}
    scaling = {"minSize": 0, "maxSize": 2, "desiredSize": 0, "__defaults": []}
    group = {"clusterName": "c", "nodeRoleArn": "r", "subnetIds": ["s"], "scalingConfig": scaling, "__defaults": []}
    made_up = {"name": "cm-0f15016a", "annotations": {"pulumi.com/autonamed": "true"}}
    objects = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": made_up, "data": {"k": "v"}}
    held = stored("kubernetes:yaml/v2:ConfigGroup", "held", kubernetes, custom=False, inputs={"objs": [{"kind": "ConfigMap"}]})
    resources = [
        Resource(urn=ROOT, type="pulumi:pulumi:Stack", custom=False),
        aws,
        kubernetes,
        stored("pulumi:providers:aws", "there", None, inputs={"region": "eu-west-2"}),
        stored(
            "aws:s3/bucket:Bucket",
            "kept",
            aws,
            inputs=named,
            outputs={"bucket": "kept-1234567", "tags": {"a": "b"}, "arn": "arn:kept"},
        ),
        stored("aws:s3/bucket:Bucket", "gone", aws, inputs={"__defaults": []}),
        stored("aws:eks/nodeGroup:NodeGroup", "group", aws, inputs=group, outputs={"clusterName": "c", "arn": "arn:group"}),
        stored("kubernetes:core/v1:ConfigMap", "cm", kubernetes, inputs=objects),
        held,
        stored("kubernetes:core/v1:ConfigMap", "within", kubernetes, parent=held.urn, inputs=objects),
    ]
    return Snapshot(resources)


AGAINST = """
    import pulumi_aws as aws, pulumi_kubernetes as k
    kept = aws.s3.Bucket("kept", tags={"a": "b"})
    group = aws.eks.NodeGroup(
        "group", cluster_name="c", node_role_arn="r", subnet_ids=["s"],
        scaling_config={"min_size": 0, "max_size": 3, "desired_size": 0},
    )
    aws.s3.BucketVersioning("new", bucket=kept.bucket, versioning_configuration={"status": "Enabled"})
    cm = k.core.v1.ConfigMap("cm", data={"k": "v"})
    k.yaml.v2.ConfigGroup("held", objs=[{"kind": "ConfigMap"}])
    there = aws.Provider("there", region="eu-west-1")
    aws.s3.BucketVersioning("away", bucket="b", versioning_configuration={"status": "Enabled"}, opts=Options(provider=there))
    pulumi.export("arns", [kept.arn, group.arn])
    pulumi.export("name", cm.metadata["name"])
    """


@pytest.mark.parametrize("refresh", [False, True])
async def test_against_a_state_of_the_cli_what_is_new_changed_gone_or_as_before_is_shown_as_such(
    lab: Lab, refresh: bool
) -> None:
    lab.checkpoint.snapshot = stack_of_the_cli()
    result = await lab.preview(AGAINST, refresh=refresh)
    assert result.succeeded, lab.said("error")
    ops = {name: str(one.op) for name, one in steps_of(lab).items() if not name.startswith("default_")}
    same = dict.fromkeys(("lab-dev", "kept", "cm", "held", "within"), "same")
    assert ops == {**same, "group": "update", "there": "update", "new": "create", "away": "create", "gone": "delete"}
    assert [one.path for one in steps_of(lab)["group"].changes] == ["scalingConfig"]
    assert steps_of(lab)["new"].inputs["bucket"] == "kept-1234567"
    assert outputs_of(lab) == {"arns": ["arn:kept", "arn:group"], "name": "cm-0f15016a"}
    assert ("were taken as the state or the program has them, and not read" in notices(lab)[0]) is refresh


@pytest.mark.parametrize("kind", ["refresh", "destroy"])
async def test_a_preview_of_a_refresh_or_destroy_needs_no_plugin(lab: Lab, kind: Any) -> None:
    lab.checkpoint.snapshot = stack_of_the_cli()
    result = await lab.operate(kind, preview_only=True)
    assert result.succeeded, lab.said("error")
    assert len(lab.steps()) == 8


@pytest.mark.parametrize("kind", ["update", "refresh", "destroy", "preview"])
async def test_what_acts_refuses_a_state_without_its_plugins_before_anything_is_done(lab: Lab, kind: Any) -> None:
    lab.checkpoint.snapshot = stack_of_the_cli()
    result = await lab.operate(kind, "Lab('own')", stand_in=False)
    assert not result.succeeded
    for package in ("aws", "kubernetes"):
        assert f"no plugin for provider '{package}'" in lab.said("error")
    assert "official CLI" in lab.said("error")
    assert (lab.calls("create", "delete"), lab.steps()) == ([], [])


async def test_the_preview_of_an_up_refuses_what_only_the_program_tells_of(lab: Lab) -> None:
    result = await lab.preview("import pulumi_aws as aws\naws.s3.Bucket('b')", stand_in=False)
    assert not result.succeeded
    assert "no plugin for provider 'aws'" in lab.said("error")


async def test_a_preview_with_all_its_plugins_says_nothing_of_them(lab: Lab) -> None:
    result = await lab.preview("Lab('own', size=1)")
    assert result.succeeded
    assert notices(lab) == []


async def test_a_program_that_ends_while_its_sdk_is_asked_tells_its_own_error_and_no_other(lab: Lab) -> None:
    result = await lab.preview("""
        import asyncio
        import os
        import pulumi_aws as aws

        def end(_):
            print("that is all", flush=True)
            os._exit(3)

        asyncio.get_event_loop().registrations._asked = end
        aws.s3.Bucket("bucket")
        """)
    assert not result.succeeded
    assert "that is all" in lab.said("info")
    assert lab.said("error") == "the program ended with exit code 3"


async def test_an_import_reads_what_it_takes_over_and_so_needs_the_plugin(lab: Lab) -> None:
    taken = Import("aws:s3/bucket:Bucket", "bucket", "some-bucket")
    result = await lab.operate("import", imports=(taken,), preview_only=True)
    assert not result.succeeded
    assert "no plugin for provider 'aws'" in lab.said("error")


async def test_the_option_import_takes_over_what_the_program_says_and_tells_that_nothing_was_read(lab: Lab) -> None:
    result = await lab.preview(
        "import pulumi_aws as aws\naws.s3.Bucket('b', tags={'a': 'b'}, opts=Options(import_='some-bucket'))"
    )
    assert result.succeeded, lab.said("error")
    assert [f"{one.op}" for name, one in steps_of(lab).items() if name == "b"] == ["import"]


async def test_a_program_without_the_sdk_on_its_path_still_shows_what_of_the_state_goes(lab: Lab) -> None:
    lab.checkpoint.snapshot = stack_of_the_cli()
    result = await lab.preview("pass")
    assert result.succeeded, lab.said("error")
    deleted = {name for name, one in steps_of(lab).items() if one.op == "delete"}
    assert deleted >= {"kept", "gone", "group", "cm", "held", "within"}
