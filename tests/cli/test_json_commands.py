"""What commands that follow, report and decide write for a program."""

import json

from platform_stack import PlatformStack
from rollout_records import status, succeeded, waiting


def test_a_rollout_that_is_watched_is_a_line_a_change_and_ends_with_its_result(controller, stack):
    controller.serve(waiting())
    after = succeeded()
    controller.coming.extend([status(waiting(), "flights"), status(after, "flights")])
    controller.records["flights", after.rollout.number] = after
    ran = stack("rollout", "watch", "--json")
    assert ran.code == 0
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [one["rollout"]["phase"] for one in lines] == ["waiting", "succeeded"]


def test_a_rollout_that_is_through_is_one_line(controller, stack):
    controller.serve(succeeded())
    lines = stack.ok("rollout", "watch", "--json").splitlines()
    assert [json.loads(line)["rollout"]["number"] for line in lines] == [7]


def test_a_report_as_json_is_the_record_and_the_ledgers_entries_and_no_file(controller, stack):
    controller.serve(succeeded())
    said = json.loads(stack.ok("rollout", "report", "--json"))
    assert said["record"]["application"] == "flights"
    assert said["entries"] == []
    assert list(stack.folder.glob("*.html")) == []
    stack.ok("rollout", "report", "--json", "-o", "record.json")
    assert json.loads((stack.folder / "record.json").read_text()) == said


def test_what_an_approval_and_an_abort_led_to_is_the_applications_status(controller, stack):
    controller.serve(waiting())
    assert json.loads(stack.ok("rollout", "approve", "--json"))["rollout"]["phase"] == "shifting"
    assert json.loads(stack.ok("rollout", "abort", "--json"))["rollout"]["phase"] == "rolling-back"


def test_a_stack_as_json_has_its_resources_and_outputs_and_no_inputs(stack):
    PlatformStack(stack).exports(resources=[("RayCluster", {"directory": "/somewhere"})], answer=42)
    said = json.loads(stack.ok("stack", "--json"))
    assert (said["name"], said["fullyQualifiedName"], said["outputs"]) == ("dev", "organization/demo/dev", {"answer": 42})
    assert [sorted(one) for one in said["resources"]] == [["type", "urn"], ["id", "type", "urn"]]
    assert said["lastUpdate"] is None


def test_a_stack_without_resources_is_json_too(stack):
    said = json.loads(stack.ok("stack", "--json"))
    assert (said["resources"], said["outputs"]) == ([], {})
