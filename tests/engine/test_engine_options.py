"""Options that a program gives its resources and providers, and those that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from engine_harness import Lab
from pulumi.runtime.proto import resource_pb2

from heliostat.engine.config.reserved import denied_packages
from heliostat.engine.errors import EngineError
from heliostat.engine.events import PropertyChange, StepStarted
from heliostat.engine.planning.goals import Goal, goal_of, with_plugin
from heliostat.engine.protocol.diffs import Diff, property_changes
from heliostat.engine.protocol.unsupported import METHODS, refusal

PROVIDER = """
class Provider(pulumi.ProviderResource):
    def __init__(self, name, opts=None, **config):
        super().__init__("lab", name, config, opts)

"""


async def test_a_provider_keeps_version_and_source_and_gets_the_environment_that_the_program_names(lab: Lab) -> None:
    lab.environment = {"MY_LAB_SEEN": "mine", "HIS_LAB_SEEN": "his"}
    program = PROVIDER + (
        "p = Provider('p', Options(version='1.2.3', plugin_download_url='https://plugins.example', "
        "env_var_mappings={{'{variable}': 'LAB_SEEN', 'NOT_THERE': 'LAB_OTHER'}}))\n"
        "Lab('{name}', Options(provider=p), v=1)\n"
        "Lab('plain', v=1)\n"
    )
    assert (await lab.up(program.format(variable="MY_LAB_SEEN", name="a"))).succeeded
    seen = {call["name"]: call["seen"] for call in lab.logged() if call["call"] == "create"}
    assert seen == {"a": "mine", "plain": None}
    inputs = lab.resources()["p"].inputs
    assert inputs["version"] == "1.2.3"
    mappings = {"MY_LAB_SEEN": "LAB_SEEN", "NOT_THERE": "LAB_OTHER"}
    assert inputs["__internal"] == {"pluginDownloadURL": "https://plugins.example", "envVarMappings": mappings}
    assert (await lab.up(program.format(variable="HIS_LAB_SEEN", name="b"), refresh=True)).succeeded
    assert [call["seen"] for call in lab.logged() if call["call"] == "create"] == ["his"]


async def test_a_hidden_difference_is_marked_and_kept_in_the_state(lab: Lab) -> None:
    program = "Lab('a', Options(hide_diffs=['v']), v={n}, w={n})"
    await lab.up(program.format(n=1))
    await lab.up(program.format(n=2))
    changes = next(e.changes for e in lab.events if isinstance(e, StepStarted) and e.op == "update")
    assert {change.path: change.hidden for change in changes} == {"v": True, "w": False}
    assert lab.resources()["a"].hide_diffs == ["v"]


def test_what_lies_below_a_hidden_path_is_hidden_too() -> None:
    diff = Diff(changes=True, detailed={"a.b": False, "ab": False})
    assert property_changes(diff, {}, {"a": {"b": 1}, "ab": 2}, ["a"]) == (
        PropertyChange("a.b", None, 1, hidden=True),
        PropertyChange("ab", None, 2),
    )


async def test_an_id_that_is_to_be_secret_is_told(lab: Lab) -> None:
    assert (await lab.up("Lab('a', Options(additional_secret_outputs=['id', 'made']), v=1)")).succeeded
    assert "'id' of a resource cannot be made secret" in lab.said("warning")


async def test_replacing_what_still_says_that_it_was_imported_is_told_in_the_preview_and_refused(lab: Lab) -> None:
    program = "Lab('a', Options(import_='a-id'), v=1, replace_size={n})"
    assert (await lab.preview(program.format(n=1))).succeeded
    assert "may not be replaced" in lab.said("warning")
    assert not (await lab.up(program.format(n=1))).succeeded
    assert "may not be replaced; please remove the `import`" in lab.said("error")


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("Lab('a', Options(state_migrations=[lambda args: None]), v=1)", "rename with `aliases` instead"),
        (
            "class R(pulumi.ComponentResource):\n  pass\nR('lab:index:R', 'r', {}, remote=True)",
            "a component of a plugin (remote)",
        ),
        ("Lab('a', Options(env_var_mappings={'A': 'B'}), v=1)", "envVarMappings can only be used with provider resources"),
    ],
)
async def test_what_the_engine_cannot_do_is_refused_with_the_way_out(lab: Lab, program: str, told: str) -> None:
    assert not (await lab.up(program)).succeeded
    assert told in lab.said("error")
    assert "update the Pulumi CLI" not in lab.said("error")
    assert lab.calls("create") == []


@pytest.mark.parametrize("denied", ['["lab"]', '["other", " * "]'])
async def test_a_package_whose_default_provider_is_disabled_needs_an_explicit_one(lab: Lab, denied: str) -> None:
    lab.config = {"pulumi:disable-default-providers": denied}
    assert not (await lab.up("Lab('a', v=1)")).succeeded
    assert "lab:index:Lab 'a': the default provider for 'lab' is disabled" in lab.said("error")
    assert (await lab.up(PROVIDER + "p = Provider('p')\nLab('a', Options(provider=p), v=1)")).succeeded


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"pulumi:disable-default-providers": "lab"}, "it has to be a list of packages"),
        ({"pulumi:disable-default-providers": "[1]"}, "it has to be a list of packages"),
        ({"pulumi:autonaming": "{}"}, "leaves names to the providers"),
    ],
)
def test_what_the_configuration_says_to_the_engine_is_understood_or_refused(config: dict[str, str], told: str) -> None:
    with pytest.raises(EngineError, match=told):
        denied_packages(config)
    assert denied_packages({"pulumi:disable-default-providers": ""}) == frozenset()


def registration(**fields: Any) -> resource_pb2.RegisterResourceRequest:
    return resource_pb2.RegisterResourceRequest(type="lab:index:Lab", name="a", custom=True, **fields)


def test_all_that_is_refused_of_a_request_is_told_at_once() -> None:
    assert refusal(registration()) == ""
    told = refusal(registration(packageRef="x", pluginChecksums={"linux": b"1"}))
    assert "packageRef" in told
    assert "checksums" in told
    assert set(METHODS) == {"Call", "ExistsResource", "RegisterPackage"}


def test_providers_come_by_package_from_the_resource_and_from_those_above_it() -> None:
    own = goal_of(registration(providers={"lab": "mine::1", "other": "x::1"}), {}, None)  # type: ignore[arg-type]
    assert own.provider == "mine::1"
    box = Goal("lab:index:Box", "box", custom=False, providers={"lab": "boxed::1"})
    inner = Goal("lab:index:Box", "inner", custom=False, providers={"other": "x::1"}).inheriting(box)
    assert Goal("lab:index:Lab", "a", custom=True).inheriting(inner).provider == "boxed::1"
    assert Goal("third:index:T", "t", custom=True).inheriting(inner).provider == ""
    assert Goal("lab:index:Lab", "a", custom=True, provider="own::1").inheriting(inner).provider == "own::1"


def test_a_plugin_of_which_nothing_is_said_leaves_a_providers_inputs_as_they_are() -> None:
    assert with_plugin({"region": "x"}) == {"region": "x"}
    assert with_plugin({"region": "x"}, "1.0.0") == {"region": "x", "version": "1.0.0", "__internal": {}}


def test_variables_are_mapped_for_providers_only() -> None:
    with pytest.raises(EngineError, match="lab:index:Lab is none"):
        goal_of(registration(envVarMappings={"A": "B"}), {}, None)  # type: ignore[arg-type]
