import json
import os
import re

from rollout_records import BEGAN, failed, first, status, succeeded, waiting

from heliostat.cli.handover import Choice, choose
from heliostat.provider.messages import why_left
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import BlockedVersion


def test_the_status_shows_steps_traffic_checks_and_events(controller, stack):
    controller.serve(waiting())
    shown = stack.ok("rollout", "status")
    assert "rollout 7" in shown
    assert "waiting for a person" in shown
    assert "✓ 10 % of the traffic, analysed for 30 s" in shown
    assert "▸ 75 % of the traffic" in shown
    assert "· all of the traffic" in shown
    assert "serving    ██████░░░░░░░░░░░░░░░░░░  25 %" in shown
    assert "candidate  ██████████████████░░░░░░  75 %" in shown
    assert "at most 1.5 times what serves" in shown
    assert "10 % of the traffic to 2-00000002" in shown
    assert "by ada at 1f0c9a2b77 (with local changes)" in shown


def test_the_status_as_json_is_the_controllers_own(controller, stack):
    controller.serve(waiting())
    said = json.loads(stack.ok("rollout", "status", "flights", "--json"))
    assert said["rollout"]["phase"] == "waiting"
    assert said["rollout"]["candidateWeight"] == 0.75


def test_an_application_without_a_rollout_and_one_without_figures_are_shown(controller, stack):
    controller.serve(first())
    assert "nothing -> 2-00000002" in stack.ok("rollout", "status")
    controller.statuses["flights"] = status(rollout=None)
    assert "no rollout yet" in stack.ok("rollout", "status")


def test_what_was_refused_is_told(controller, stack):
    reason = "success rate 0.92\nmore"
    refused = BlockedVersion(fingerprint="0" * 64, identity="3/1", label="3-00000003", rollout=6, at=BEGAN, reason=reason)
    controller.serve(succeeded(), refused=(refused,))
    shown = stack.ok("rollout", "status")
    assert "refused: 3-00000003, by rollout 6" in shown
    assert "success rate 0.92" in shown


def test_without_a_name_several_applications_are_listed_and_none_is_guessed(controller, stack):
    controller.serve(succeeded())
    controller.serve(succeeded(), name="taxis")
    ran = stack("rollout", "status")
    assert ran.code == 1
    assert "name one of flights, taxis" in ran.err
    assert "taxis" in stack.ok("rollout", "status", "taxis")


def test_without_a_name_the_stack_s_own_application_is_meant_and_none_of_other_stacks(deployed_platform, controller, stack):
    controller.serve(succeeded())
    controller.serve(succeeded(), name="taxis")
    platform = json.loads(stack.ok("stack", "output", "--json"))["platform"]
    deployed_platform.exports(platform=platform, resources=[("Application", {"name": "taxis"})])
    assert json.loads(stack.ok("rollout", "status", "--json"))["name"] == "taxis"
    assert "flights" in stack.ok("rollout", "status", "flights"), "which another stack on the platform has"


def test_an_unknown_application_is_told_with_those_that_there_are(controller, stack):
    controller.serve(succeeded())
    for command in (("status", "trains"), ("approve", "trains"), ("abort", "trains", "--reason", "x"), ("report", "trains")):
        ran = stack("rollout", *command)
        assert ran.code == 1
        assert "no application 'trains'; there are: flights" in ran.err


def test_without_any_application_that_is_said(controller, stack):
    ran = stack("rollout", "status")
    assert ran.code == 1
    assert "no application yet" in ran.err


def test_an_approval_says_who_and_why_and_which_step_it_has_read(controller, stack):
    controller.serve(waiting())
    assert "rollout 7, step 3 approved" in stack.ok("rollout", "approve", "--reason", "looks good")
    (what, name, word), *more = controller.said
    assert (what, name, word.by, word.reason, more) == ("approve", "flights", "grace", "looks good", [])
    assert (word.rollout, word.step) == (7, 2)


def test_an_approval_of_another_step_or_rollout_than_waits_approves_nothing(controller, stack):
    controller.serve(waiting())
    for given in (("--step", "2"), ("--rollout", "6"), ("--rollout", "6", "--step", "3")):
        ran = stack("rollout", "approve", *given)
        assert (ran.code, ran.err) == (1, "error: flights waits at step 3 of rollout 7\n")
    assert controller.said == []
    stack.ok("rollout", "approve", "--rollout", "7", "--step", "3")
    assert len(controller.said) == 1


def test_the_command_that_a_notice_tells_approves_what_the_notice_speaks_of_and_nothing_else(controller, stack):
    controller.serve(waiting())
    said = why_left("flights", waiting().rollout, detached=False)
    command = re.findall(r"`heliostat (rollout approve [^`]+)`", said)[0].split()
    controller.statuses["flights"] = status(rollout=waiting().rollout.model_copy(update={"step": 1}))
    assert stack(*command).code == 1, "somebody else is at another step by now"
    controller.serve(waiting())
    stack.ok(*command)
    assert len(controller.said) == 1


def test_an_abort_is_of_the_rollout_that_was_read_at_whatever_step_it_is(controller, stack):
    controller.serve(waiting())
    stack.ok("rollout", "abort")
    assert (controller.said[0][2].rollout, controller.said[0][2].step) == (7, None)


def test_nothing_to_approve_is_shown_in_the_controllers_words(controller, stack):
    controller.serve(succeeded())
    ran = stack("rollout", "approve")
    assert (ran.code, ran.err) == (1, "error: no rollout of flights waits for a person\n")
    assert controller.said == []


def test_an_abort_gives_its_reason_and_needs_none(controller, stack):
    controller.serve(waiting())
    assert "rollout 7 aborted" in stack.ok("rollout", "abort")
    assert controller.said.pop()[2].reason == ""
    controller.serve(waiting())
    assert "rollout 7 aborted" in stack.ok("rollout", "abort", "--reason", "wrong answers")
    assert controller.said[0][2].reason == "wrong answers"


def test_nothing_to_abort_is_shown_in_the_controllers_words(controller, stack):
    controller.serve(succeeded())
    ran = stack("rollout", "abort", "--reason", "x")
    assert (ran.code, ran.err) == (1, "error: nothing of flights is on its way\n")


def test_the_list_has_the_newest_first(controller, stack):
    controller.serve(succeeded())
    controller.records["flights", 8] = failed().model_copy(
        update={"rollout": failed().rollout.model_copy(update={"number": 8})}
    )
    lines = stack.ok("rollout", "list").splitlines()
    assert [line.split()[0] for line in lines] == ["NUMBER", "8", "7"]
    assert "failed" in lines[1]
    assert "success rate 0.92 is below 0.99" in lines[1]
    assert "1f0c9a2b77+" in lines[2]
    assert [one["number"] for one in json.loads(stack.ok("rollout", "list", "--json"))] == [8, 7]


def test_a_controller_that_is_away_is_an_error_of_one_line(deployed_platform, stack):
    ran = stack("rollout", "status")
    assert ran.code == 1
    assert ran.err.startswith("error: the controller at http://127.0.0.1:9 does not answer")
    assert ran.err.count("\n") == 1


def test_a_stack_without_a_platform_says_what_to_do(deployed_platform, stack):
    deployed_platform.exports(other=1)
    ran = stack("rollout", "status")
    assert ran.code == 1
    assert "heliostat up -s dev" in ran.err


def test_a_stack_that_does_not_exist_has_the_official_exit_code(deployed_platform, stack):
    assert stack("rollout", "status", "-s", "nowhere").code == 6
    assert stack("history", "-s", "nowhere").code == 6


def test_a_workloads_stack_asks_the_controller_of_the_platform_that_it_names(controller, stack, deployed_platform):
    controller.serve(succeeded())
    stack.ok("stack", "init", "prod")
    (stack.folder / "Pulumi.prod.yaml").write_text("config:\n  heliostat:platformStack: organization/demo/dev\n")
    assert "rollout 7" in stack.ok("rollout", "status", "-s", "prod")


def test_the_official_cli_is_asked_where_it_is_there(controller, stack, deployed_platform, tmp_path):
    controller.serve(succeeded())
    said = json.dumps({"platform": stack_platform(stack)})
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\ncat <<'E'\n{said}\nE\n")
    program.chmod(0o755)
    deployed_platform.exports(nothing=1)
    stack.monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    stack.monkeypatch.delenv("HELIOSTAT_ENGINE")
    assert "rollout 7" in stack.ok("rollout", "status", "-s", "dev")
    assert (tmp_path / "asked").read_text() == "stack output --json --show-secrets=false -s dev --non-interactive\n"


def test_with_the_official_cli_on_the_path_these_commands_stay_ours(tmp_path):
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    environment = {"PATH": str(tmp_path)}
    for command in ("rollout", "history", "rollback", "logs", "dashboard", "status", "doctor", "open", "completion"):
        assert choose([command, "status"], environment) == Choice("embedded", (command, "status"))
        chosen = choose(["--engine", "embedded", command], environment)
        assert chosen == Choice("embedded", (command,), {"HELIOSTAT_ENGINE": "embedded"}), "who is asked for outputs"


def stack_platform(stack):
    return json.loads(stack.ok("stack", "output", "platform", "--json"))


def test_a_report_is_written_to_one_file_with_the_ledgers_exact_versions(controller, stack, deployed_platform):
    from rollout_records import entry

    controller.serve(failed())
    deployed_platform.remember(entry(1, rollout=6), entry(2, rollout=7, weight=0.1), entry(3, EntryKind.END, rollout=7))
    ran = stack("rollout", "report")
    assert ran.code == 0, ran.err
    html = (stack.folder / "rollout-flights-7.html").read_text()
    assert "models:/flights/2" in html
    assert "Rolled back" in html
    stack.ok("rollout", "report", "--rollout", "7", "-o", "other.html")
    assert (stack.folder / "other.html").exists()
    assert stack.ok("rollout", "report", "-o", "-").startswith("<!doctype html>")
    stack.ok("rollout", "report", "-o", "failed.svg")
    assert (stack.folder / "failed.svg").read_text().startswith("<svg")


def test_a_report_on_a_rollout_that_is_not_remembered_says_which_are(controller, stack):
    controller.serve(succeeded())
    ran = stack("rollout", "report", "--rollout", "99")
    assert ran.code == 1
    assert "no rollout 99 of flights; it remembers: 7" in ran.err


def test_a_report_that_cannot_be_written_says_why(controller, stack):
    controller.serve(succeeded())
    ran = stack("rollout", "report", "-o", "missing/folder/report.html")
    assert ran.code == 1
    assert "cannot write" in ran.err
