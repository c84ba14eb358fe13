"""`heliostat tasks`, and what `heliostat status` says of queues."""

import base64
import json

import pytest
from rollout_records import succeeded

A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def task(task_id, status="failed", **more):
    return {
        "id": task_id, "status": status, "attempts": 4, "version": "2-00000002", "submittedAt": 1_700_000_000.0,
        "deadline": 1_700_086_400.0, "endedAt": 1_700_000_060.0, **more,
    }  # fmt: skip


@pytest.fixture
def queue(controller):
    controller.serve(succeeded(), number=2)
    tasks = [
        task(A, error="ValueError: no answer for 2", payload=base64.b64encode(b'{"value":2}').decode()),
        task(B, error="its worker was lost"),
        task(C, "waiting", endedAt=None, webhook={"url": "https://a.example/x", "note": ""}),
    ]
    controller.queues["flights"] = ({"waiting": 1, "running": 2, "dead": 2, "oldestSeconds": 90.0}, tasks)
    return tasks


def test_the_depth_and_the_dead_letters_are_listed(queue, stack):
    shown = stack.ok("tasks", "list")
    assert "flights: 1 wait, 2 run, 2 dead letters" in shown
    assert f"{A}  " in shown
    assert "ValueError: no answer for 2" in shown
    assert C not in shown, "it has not failed"
    assert B not in stack.ok("tasks", "list", "flights", "--limit", "1")
    told = json.loads(stack.ok("tasks", "list", "--json"))
    assert (told["application"], told["queue"]["dead"], [each["id"] for each in told["dead"]]) == ("flights", 2, [A, B])


def test_a_queue_without_dead_letters_is_one_line(queue, stack):
    del queue[:2]
    assert stack.ok("tasks", "list").strip() == "flights: 1 wait, 2 run, 2 dead letters"


def test_a_task_is_shown_with_its_payload(queue, stack):
    shown = stack.ok("tasks", "show", "flights", A)
    assert 'payload    {"value":2}' in shown
    assert "error      ValueError: no answer for 2" in shown
    assert "webhook    https://a.example/x: not called yet" in stack.ok("tasks", "show", "flights", C)
    assert json.loads(stack.ok("tasks", "show", "flights", A, "--json"))["attempts"] == 4


def test_dead_letters_are_tried_again_by_id_or_all_of_them(queue, stack):
    assert f"{A} waits again" in stack.ok("tasks", "retry", "flights", A)
    assert queue[0]["status"] == "waiting"
    assert f"{B} waits again" in stack.ok("tasks", "retry", "flights", "--all")
    assert "flights has no dead letters" in stack.ok("tasks", "retry", "flights", "--all")
    ran = stack("tasks", "retry", "flights", A, B)
    assert ran.code == 1
    assert f"✗ {A}: the task {A} is no dead letter" in ran.err
    assert f"✗ {B}" in ran.err, "the others are tried all the same"


@pytest.mark.parametrize("given", [(), (A, "--all")])
def test_what_is_to_be_tried_again_is_said(queue, stack, given):
    ran = stack("tasks", "retry", "flights", *given)
    assert ran.code != 0
    assert "name the tasks, or say --all" in ran.err


def test_a_task_that_waits_is_cancelled_and_one_that_ended_is_not(queue, stack):
    assert f"{C} is cancelled" in stack.ok("tasks", "cancel", "flights", C)
    ran = stack("tasks", "cancel", "flights", C)
    assert ran.code != 0
    assert "has ended" in ran.err


def test_an_application_without_tasks_and_a_task_that_is_not_there_are_told(controller, stack):
    controller.serve(succeeded(), number=2)
    ran = stack("tasks", "list")
    assert ran.code != 0
    assert "flights takes no tasks: declare serving.queue" in ran.err
    ran = stack("tasks", "show", "flights", A)
    assert f"flights has no task {A}, or not any more" in ran.err
