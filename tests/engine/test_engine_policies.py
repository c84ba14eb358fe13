"""Policy packs under the embedded engine: a process that speaks the protocol, and what its answers lead to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engine_harness import Lab

from heliostat.engine.events import PackLoaded, PolicyRemediation, PolicyViolation
from heliostat.engine.protocol.packs import PolicyPack

PACK = Path(__file__).with_name("pack")
ROOT = "urn:pulumi:dev::lab::pulumi:pulumi:Stack::lab-dev"
MODEST = 'Lab("a", size=1, label="x")\nLab("b", size=2, label="y")\n'
GREEDY = 'first = Lab("a", size=1, label="x")\nLab("b", size=99, label="y", opts=Options(depends_on=[first]))\n'


@pytest.fixture
def judged(lab: Lab) -> Lab:
    lab.environment["LAB_ASKED"] = str(lab.folder / "asked.jsonl")
    return lab


def pack(lab: Lab, **config: Any) -> tuple[PolicyPack, ...]:
    file = lab.folder / "policies.json"
    file.write_text(json.dumps({name.replace("_", "-"): value for name, value in config.items()}))
    return (PolicyPack(PACK, file if config else None),)


def asked(lab: Lab, call: str) -> list[dict[str, Any]]:
    lines = (lab.folder / "asked.jsonl").read_text().splitlines()
    return [said for said in map(json.loads, lines) if said["call"] == call]


def violations(lab: Lab) -> list[tuple[str, str, str]]:
    return [(e.level, e.policy, e.urn) for e in lab.events if isinstance(e, PolicyViolation)]


async def test_a_stack_that_breaks_no_policy_comes_up_and_the_pack_is_told(judged: Lab) -> None:
    assert (await judged.up(MODEST, policy_packs=pack(judged))).succeeded
    assert violations(judged) == []
    # The version is PulumiPolicy.yaml's; two of the four policies are disabled.
    assert [e for e in judged.events if isinstance(e, PackLoaded)] == [PackLoaded("lab-pack", "1.2.3", 2)]


async def test_without_a_pack_none_is_started(judged: Lab) -> None:
    assert (await judged.up(GREEDY)).succeeded
    assert not (judged.folder / "asked.jsonl").exists()


async def test_a_preview_tells_every_violation_and_fails_at_its_end(judged: Lab) -> None:
    program = 'Lab("a", size=50, label="x")\nLab("b", size=60, label="y")\nLab("c", label="z")\n'
    summary = await judged.preview(program, policy_packs=pack(judged))
    assert not summary.succeeded
    told = [("mandatory", "no-hoarding", judged.urn(name)) for name in ("a", "b")]
    assert sorted(violations(judged)) == told
    assert "create c" in judged.steps()
    (one,) = [e for e in judged.events if isinstance(e, PolicyViolation) and e.urn == judged.urn("a")]
    assert one.message == "size is 50, at most 10: ask for less"
    assert (one.pack, one.version, one.severity) == ("lab-pack", "1.2.3", "high")


async def test_an_update_stops_at_a_mandatory_violation_before_the_step(judged: Lab) -> None:
    program = GREEDY + 'Lab("c", label="z", opts=Options(depends_on=[first]))\n'
    summary = await judged.up(program, policy_packs=pack(judged))
    assert not summary.succeeded
    assert ("mandatory", "no-hoarding", judged.urn("b")) in violations(judged)
    assert "create b" not in judged.calls("create")
    assert "b" not in judged.names()


async def test_an_advisory_violation_is_told_and_stops_nothing(judged: Lab) -> None:
    assert (await judged.up('Lab("a", size=1)\n', policy_packs=pack(judged))).succeeded
    assert violations(judged) == [("advisory", "a-name", judged.urn("a"))]


async def test_a_config_sets_levels_and_properties(judged: Lab) -> None:
    packs = pack(judged, no_hoarding={"enforcementLevel": "advisory", "most": 1}, a_name="disabled")
    assert (await judged.up('Lab("a", size=2)\n', policy_packs=packs)).succeeded
    assert violations(judged) == [("advisory", "no-hoarding", judged.urn("a"))]


async def test_all_mistakes_of_a_config_are_told_before_anything_is_made(judged: Lab) -> None:
    packs = pack(judged, no_hoarding={"most": 0}, a_nmae="advisory")
    assert not (await judged.up(MODEST, policy_packs=packs)).succeeded
    said = judged.said("error")
    assert "a-nmae: the pack has no such policy; it has a-name, no-hoarding, not-alone, tidy" in said
    assert "no-hoarding: most: 0 is less than the minimum of 1" in said
    assert judged.calls("create") == []


async def test_what_is_unknown_in_a_preview_is_judged_in_the_update(judged: Lab) -> None:
    program = 'first = Lab("a", label="x", made_size=99)\nLab("b", label="y", size=first.made.apply(lambda made: 99))\n'
    assert (await judged.preview(program, policy_packs=pack(judged))).succeeded
    assert violations(judged) == []
    assert not (await judged.up(program, policy_packs=pack(judged))).succeeded
    assert violations(judged) == [("mandatory", "no-hoarding", judged.urn("b"))]
    assert judged.names() == ["a"]


async def test_a_stack_policy_sees_all_resources_with_what_they_depend_on(judged: Lab) -> None:
    packs = pack(judged, not_alone="mandatory")
    assert (await judged.up(MODEST.replace('Lab("b", size=2', 'Lab("b", size=2, opts=None'), policy_packs=packs)).succeeded
    (last,) = asked(judged, "analyze-stack")
    assert {"a", "b", "lab-dev"} <= last["values"].keys()
    assert last["values"]["a"]["size"] == 1
    assert last["parents"] == {"a": ROOT, "b": ROOT}


async def test_a_stack_policy_sees_in_a_preview_what_was_declared_of_a_provider_that_is_not_asked_yet(judged: Lab) -> None:
    program = """
        first = Lab("a", size=1, label="x")
        later = pulumi.ProviderResource("lab", "later", {"region": first.made})
        Lab("b", size=2, label="y", opts=Options(provider=later))
    """
    assert (await judged.preview(program, policy_packs=pack(judged))).succeeded
    (last,) = asked(judged, "analyze-stack")
    assert (last["values"]["b"]["size"], last["values"]["b"]["label"]) == (2, "y")


async def test_a_stack_policy_s_violation_makes_a_preview_fail(judged: Lab) -> None:
    packs = pack(judged, not_alone="mandatory")
    assert not (await judged.preview('Lab("a", label="x")\n', policy_packs=packs)).succeeded
    assert violations(judged) == [("mandatory", "not-alone", judged.urn("a"))]


async def test_a_remediation_changes_what_is_made_and_is_told(judged: Lab) -> None:
    packs = pack(judged, tidy="remediate")
    assert (await judged.up('Lab("a", label="LOUD", size=3)\n', policy_packs=packs)).succeeded
    assert judged.given("create a")["label"] == "loud"
    (told,) = [e for e in judged.events if isinstance(e, PolicyRemediation)]
    assert [(change.path, change.old, change.new) for change in told.changes] == [("label", "LOUD", "loud")]
    assert (await judged.up('Lab("a", label="LOUD", size=3)\n', policy_packs=packs)).succeeded
    assert judged.steps() == ["same lab-dev", "same a"]


async def test_a_replacement_is_judged_and_remediated_as_the_first_one_was(judged: Lab) -> None:
    packs = pack(judged, tidy="remediate")
    assert (await judged.up('Lab("a", label="LOUD", replace_me=1)\n', policy_packs=packs)).succeeded
    assert (await judged.up('Lab("a", label="LOUD", replace_me=2)\n', policy_packs=packs)).succeeded
    assert judged.given("create a")["label"] == "loud"


async def test_a_pack_is_told_of_the_stack_as_the_official_cli_tells_it(judged: Lab) -> None:
    judged.config, judged.secret = {"lab:size": "3", "lab:token": "geheim-geheim"}, ("lab:token",)
    assert (await judged.up(MODEST, policy_packs=pack(judged))).succeeded
    (start,), (stack,), (shake,) = (asked(judged, call) for call in ("start", "stack", "handshake"))
    assert start["config"] == stack["config"] == judged.config
    assert (start["preview"], stack["preview"], stack["stack"]) == ("false", False, "dev")
    assert start["cwd"] == shake["root"] == str(PACK)


async def test_a_secret_reaches_a_pack_and_nothing_of_what_it_says(judged: Lab) -> None:
    judged.config, judged.secret = {"lab:token": "geheim-geheim"}, ("lab:token",)
    program = 'Lab("a", token=pulumi.Config("lab").require_secret("token"))\n'
    assert (await judged.up(program, policy_packs=pack(judged))).succeeded
    (told,) = [e for e in judged.events if isinstance(e, PolicyViolation)]
    assert told.message == "no label (token [secret])"
    assert "the pack is up" in judged.said("info")
    assert "geheim" not in repr(judged.events)


async def test_options_and_the_provider_reach_a_pack(judged: Lab) -> None:
    program = 'Lab("a", label="x", __hidden=1, opts=Options(protect=True))\n'
    assert (await judged.up(program, policy_packs=pack(judged))).succeeded
    (seen,) = [one for one in asked(judged, "analyze") if one["name"] == "a"]
    assert seen["protect"] is True
    assert seen["provider"].startswith("default")
    assert "__hidden" not in seen["values"]


async def test_a_policy_that_raises_fails_the_operation_with_its_words(judged: Lab) -> None:
    summary = await judged.up('Lab("a", label="x", breaks_the_pack=True)\n', policy_packs=pack(judged))
    assert not summary.succeeded
    assert "failed to run policy: Exception calling application: 'absent'" in judged.said("error")
    assert judged.calls("create") == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "there is no PulumiPolicy.yaml"),
        ({"PulumiPolicy.yaml": "runtime: nodejs\n"}, "runtime 'nodejs'"),
        ({"PulumiPolicy.yaml": "runtime: python\n"}, "there is no "),
        ({"PulumiPolicy.yaml": "runtime: python\n", "__main__.py": "raise SystemExit('no such luck')\n"}, "no such luck"),
        ({"PulumiPolicy.yaml": "runtime: python\n", "__main__.py": "print('hello')\n"}, "wrote 'hello' to stdout"),
    ],
)
async def test_a_pack_that_cannot_run_ends_the_operation_before_its_first_step(
    judged: Lab, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert not (await judged.up(MODEST, policy_packs=(PolicyPack(folder),))).succeeded
    assert said in judged.said("error")
    assert judged.calls("create") == []
