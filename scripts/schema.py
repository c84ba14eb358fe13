"""Writes the JSON Schema of the stacks' configs from the models; a test fails where the committed one is stale."""

from pathlib import Path

from heliostat.program import problem_of
from heliostat.spec.problem import Problem
from heliostat.spec.stack import schema_text
from workloads.flights.parameters import Training

schema = schema_text({"flights": Training}, {"flights": problem_of("flights") or Problem()})
Path(__file__).parents[1].joinpath("configs", "stack.schema.json").write_text(schema)
