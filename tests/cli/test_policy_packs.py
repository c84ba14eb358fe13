"""The flags and the settings by which policy packs run, and what is shown of what they say."""

import json
from pathlib import Path

import pytest
from test_operations import THING, Engine

from heliostat.cli import operate
from heliostat.cli.checkout import CheckoutError, read
from heliostat.cli.policypacks import flags_for_cli, with_standing
from heliostat.cli.standing import StandingPack
from heliostat.engine.events import Op, PackLoaded, PolicyRemediation, PolicyViolation, PropertyChange, StepStarted, Summary
from heliostat.engine.protocol.packs import PolicyPack

SETTINGS = """
[policy-packs.policies]
stacks = ["*", "!local"]
config = { dev = "policies/config-dev.json", "preview-*" = "policies/config-preview.json" }
"""


class Judging(Engine):
    """Tells of a pack what it is given to tell."""

    def __init__(self, *events, succeeds=True):
        super().__init__()
        self.events, self.succeeds = events, succeeds

    async def run(self, kind, target, options, sink, snapshots, stacks, cancel):
        self.calls.append((kind, target, options, snapshots))
        sink(StepStarted(THING, Op.SAME))
        for event in self.events:
            sink(event)
        return Summary(self.succeeds, {Op.SAME: 1}, 0.1, cancelled=False)


@pytest.fixture
def judging(monkeypatch):
    def make(*events, succeeds=True):
        made = Judging(*events, succeeds=succeeds)
        monkeypatch.setattr(operate, "run", made.run)
        return made

    return make


def packs(engine):
    return [call[2].policy_packs for call in engine.calls]


def test_a_flag_names_a_pack_and_another_its_config(stack, judging):
    engine = judging()
    stack.ok("preview", "--policy-pack", "rules", "--policy-pack-config", "rules.json")
    folder = stack.folder
    assert packs(engine) == [(PolicyPack(folder / "rules", folder / "rules.json"),)]


def test_the_update_after_a_preview_has_the_same_packs(stack, judging):
    engine = judging()
    stack.ok("up", "--yes", "--policy-pack", "a", "--policy-pack", "b")
    assert packs(engine) == [(PolicyPack(stack.folder / "a"), PolicyPack(stack.folder / "b"))] * 2


def test_configs_that_are_not_as_many_as_packs_are_refused(stack, judging):
    engine = judging()
    ran = stack("preview", "--policy-pack", "a", "--policy-pack", "b", "--policy-pack-config", "a.json")
    assert ran.code == 2
    assert "1 times and --policy-pack 2 times" in ran.err
    assert engine.calls == []


def test_a_pack_of_the_settings_runs_for_the_stacks_that_it_names(stack, judging):
    (stack.folder / "heliostat.toml").write_text(SETTINGS)
    engine = judging()
    stack.ok("preview")
    assert packs(engine) == [(PolicyPack(stack.folder / "policies", stack.folder / "policies/config-dev.json"),)]
    stack.ok("stack", "init", "local")
    stack.ok("preview", "-s", "local")
    assert packs(engine)[1] == ()


def test_a_flag_adds_a_pack_and_gives_one_of_the_settings_another_config(stack, judging):
    (stack.folder / "heliostat.toml").write_text(SETTINGS)
    engine = judging()
    stack.ok("preview", "--policy-pack", "policies", "--policy-pack-config", "mine.json")
    stack.ok("preview", "--policy-pack", "more")
    policies, more = stack.folder / "policies", stack.folder / "more"
    assert packs(engine)[0] == (PolicyPack(policies, stack.folder / "mine.json"),)
    assert packs(engine)[1] == (PolicyPack(policies, policies / "config-dev.json"), PolicyPack(more))


@pytest.mark.parametrize("command", [("refresh",), ("destroy",)])
def test_no_pack_judges_what_has_no_program(stack, judging, command):
    (stack.folder / "heliostat.toml").write_text(SETTINGS)
    engine = judging()
    stack.ok(*command, "--yes")
    assert set(packs(engine)) == {()}


def test_without_settings_no_pack_runs(stack, judging):
    engine = judging()
    stack.ok("preview")
    assert packs(engine) == [()]


PACK = PackLoaded("rules", "1.0.0", 3)
BROKEN = PolicyViolation(THING, "no-gap", "rules", "1.0.0", "mandatory", "No gap.\nstrategy is recreate", "high")
WARNED = PolicyViolation(THING, "tagged", "rules", "1.0.0", "advisory", "Tagged.\nno owner")
TIDIED = PolicyRemediation(THING, "tidy", "rules", "1.0.0", (PropertyChange("label", "LOUD", "loud"),))


def test_violations_are_shown_with_policy_pack_resource_and_message(stack, judging):
    judging(PACK, BROKEN, WARNED, succeeds=False)
    ran = stack("preview")
    assert ran.code == 1
    shown = ran.out.split("\nPolicies:\n", 1)[1].split("\n\n", 1)[0]
    assert shown.splitlines() == [
        "  rules@v1.0.0 (3 policies)",
        "    [advisory] tagged (t:i:Thing a)",
        "      Tagged.",
        "      no owner",
        "    [mandatory][high] no-gap (t:i:Thing a)",
        "      No gap.",
        "      strategy is recreate",
    ]


def test_a_pack_without_violations_says_so_and_no_pack_says_nothing(stack, judging):
    judging(PACK)
    assert "  rules@v1.0.0 (3 policies): no violations\n" in stack.ok("preview")
    judging()
    assert "Policies" not in stack.ok("preview")


def test_a_remediation_is_shown_property_by_property_where_that_is_asked_for(stack, judging):
    judging(PACK, TIDIED)
    assert "    [remediate] tidy (t:i:Thing a) [diff: label]\n" in stack.ok("preview")
    assert '~ label: "LOUD" => "loud"' in stack.ok("preview", "--show-policy-remediations")


def test_json_has_packs_violations_and_remediations(stack, judging):
    judging(PACK, BROKEN, TIDIED, succeeds=False)
    said = json.loads(stack("preview", "--json").out)
    assert said["policyPacks"] == [{"pack": "rules", "version": "1.0.0", "policies": 3}]
    assert said["policyViolations"][0]["level"] == "mandatory"
    assert said["policyRemediations"] == [
        {"urn": THING, "policy": "tidy", "pack": "rules", "version": "1.0.0", "properties": ["label"]}
    ]
    assert said["result"] == "failed"


def test_an_update_whose_preview_breaks_a_policy_does_not_begin(stack, judging):
    engine = judging(PACK, BROKEN, succeeds=False)
    assert stack("up", "--yes").code == 1
    assert engine.kinds == ["preview"]


@pytest.mark.parametrize(
    ("stacks", "judged", "left"),
    [
        (["*"], ["local", "aws"], []),
        (["*", "!local"], ["aws"], ["local"]),
        (["*", "!dev-*", "dev-eve"], ["aws", "dev-eve"], ["dev-bob"]),
        ([], [], ["aws"]),
    ],
)
def test_the_last_pattern_that_fits_decides(stacks, judged, left):
    pack = StandingPack("policies", tuple(stacks))
    assert all(pack.judges(one) for one in judged)
    assert not any(pack.judges(one) for one in left)


def test_all_mistakes_of_the_settings_are_told_at_once(tmp_path: Path):
    file = tmp_path / "heliostat.toml"
    file.write_text('[policy-packs.a]\nstacks = "*"\nconfg = 1\n[policy-packs.b]\nconfig = "x.json"\n')
    with pytest.raises(CheckoutError) as caught:
        read(file)
    for part in (
        "policy-packs.a.stacks: has to be a list",
        "policy-packs.a.confg: there is no such key",
        "policy-packs.b.config",
    ):
        assert part in str(caught.value)


RULES, MORE = Path("/p/rules"), Path("/p/more")


@pytest.mark.parametrize(
    ("standing", "arguments", "flags"),
    [
        ([], ["up"], []),
        ([(RULES, None)], ["up"], ["--policy-pack=/p/rules"]),
        ([(RULES, Path("/c"))], ["up"], ["--policy-pack=/p/rules", "--policy-pack-config=/c"]),
        (
            [(RULES, Path("/c")), (MORE, None)],
            ["up", "--policy-pack", "x"],
            [
                *("--policy-pack=/p/rules", "--policy-pack=/p/more"),
                *("--policy-pack-config=/c", "--policy-pack-config=/dev/null", "--policy-pack-config=/dev/null"),
            ],
        ),
        (
            [(RULES, None)],
            ["up", "--policy-pack=x", "--policy-pack-config=y"],
            ["--policy-pack=/p/rules", "--policy-pack-config=/dev/null"],
        ),
        ([(RULES, Path("/c"))], ["up", "--policy-pack", "/p/rules"], []),
    ],
)
def test_the_official_cli_gets_the_packs_of_the_settings_as_flags(standing, arguments, flags):
    assert flags_for_cli(standing, arguments) == flags


def test_the_flags_stand_after_the_command_and_other_projects_get_none(tmp_path):
    (tmp_path / "heliostat.toml").write_text('[policy-packs.rules]\nstacks = ["aws"]\n')
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/PulumiPolicy.yaml").write_text("runtime: python\n")
    (tmp_path / "rules/__main__.py").touch()
    given = ["-C", "x", "preview", "-s", "aws"]
    added = f"--policy-pack={tmp_path}/rules"
    assert with_standing("preview", given, tmp_path, "aws") == ["-C", "x", "preview", added, "-s", "aws"]
    assert with_standing("preview", given, tmp_path, "dev") == given
    assert with_standing("preview", given, None, "aws") == given
