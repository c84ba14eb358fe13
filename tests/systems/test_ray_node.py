"""What `heliostat.systems.ray_node` changes of `ray start` is where this version of Ray has it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest


@pytest.fixture(scope="module")
def node() -> Any:
    return pytest.importorskip("ray._private.node").Node


def test_a_head_starts_its_dashboard_where_it_can_be_put_off(node: Any) -> None:
    begun = list(inspect.signature(node.__init__).parameters)
    assert begun[:2] == ["self", "ray_params"]
    assert "start_api_server" in node.start_head_processes.__code__.co_names
    options = inspect.signature(node.start_api_server).parameters.values()
    assert {each.kind for each in options if each.name != "self"} == {inspect.Parameter.KEYWORD_ONLY}


def test_only_the_start_of_the_dashboard_tells_where_it_is(node: Any) -> None:
    # Workers are told on their command line, and the raylet that starts them has that before there is a dashboard.
    assert "_webui_url" in node.start_api_server.__code__.co_names
    assert "_webui_url" not in node.start_head_processes.__code__.co_names
    order = node.__init__.__code__.co_names
    assert order.index("start_head_processes") < order.index("start_ray_processes")


def test_the_program_before_each_worker_is_a_parameter_that_ray_leaves_alone_where_it_is_given() -> None:
    parameter = pytest.importorskip("ray._private.parameter")
    given = parameter.RayParams(setup_worker_path="/mine.py")
    given.update_if_absent(setup_worker_path="/rays.py")
    assert given.setup_worker_path == "/mine.py"
