"""docs/engine.md names every option of a resource and every field of the requests in which the installed SDK sends them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime.proto import resource_pb2

from heliostat.engine.monitor import Monitor
from heliostat.engine.protocol import unsupported

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "engine.md"
REQUESTS = {
    "C": resource_pb2.RegisterResourceRequest,
    "R": resource_pb2.ReadResourceRequest,
    "I": resource_pb2.ResourceInvokeRequest,
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = DOCUMENT.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_option_of_a_resource_is_in_the_table() -> None:
    declared = set(inspect.signature(pulumi.ResourceOptions.__init__).parameters) - {"self"}
    assert {cells[0].strip("`") for cells in rows("Options of a resource")} == declared


@pytest.mark.parametrize("letter", REQUESTS)
def test_every_field_of_a_request_is_in_the_table(letter: str) -> None:
    declared = {field.name for field in REQUESTS[letter].DESCRIPTOR.fields}
    assert {cells[0].strip("`") for cells in rows("Fields of requests") if letter in cells[1].split()} == declared


def test_what_the_table_says_is_refused_is_what_the_engine_refuses() -> None:
    said = {cells[0].strip("`") for cells in rows("Fields of requests") if cells[2].startswith("refused by name")}
    assert said == set(unsupported.REFUSED) - {"state_migrations"}
    (option,) = (cells[1] for cells in rows("Options of a resource") if cells[0] == "`state_migrations`")
    assert option.startswith("refused by name")


def test_every_call_of_the_monitor_is_answered_or_refused_by_name() -> None:
    service = resource_pb2.DESCRIPTOR.services_by_name["ResourceMonitor"]
    mine = set(vars(Monitor))
    silent = [method.name for method in service.methods if method.name not in mine]
    assert silent == [], "an SDK that calls these gets 'Method not implemented'"
    text = re.sub(r"\s+", " ", DOCUMENT.read_text())
    named = re.search(r"Calls that are refused by name: (.*?)\. ###", text)
    assert named
    assert set(re.findall(r"`(\w+)`", named[1])) == set(unsupported.METHODS)
