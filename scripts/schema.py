"""Writes the JSON Schemas of stacks' configs and of flows from the models; a test fails where a committed one is stale."""

from pathlib import Path

from heliostat.program import problem_of
from heliostat.spec import flow
from heliostat.spec.problem import Problem
from heliostat.spec.stack import schema_text
from workloads.flights.parameters import Training

CONFIGS = Path(__file__).parents[1] / "configs"
CONFIGS.joinpath("flow.schema.json").write_text(flow.schema_text())
schema = schema_text({"flights": Training}, {"flights": problem_of("flights") or Problem()})
CONFIGS.joinpath("stack.schema.json").write_text(schema)
