"""Writes the JSON Schemas of stacks' configs, of contracts, flows and schemas of data; a test fails where one is stale."""

from pathlib import Path

from heliostat.data import schema as data_schema
from heliostat.resources.workload_modules import problem_of
from heliostat.spec import flow, model_contracts
from heliostat.spec.problem import Problem
from heliostat.spec.stack import schema_text
from workloads.flights.parameters import Training

_CONFIGS = Path(__file__).parents[1] / "configs"
_SCHEMA = schema_text({"flights": Training}, {"flights": problem_of("flights") or Problem()})
_CONFIGS.joinpath("stack.schema.json").write_text(_SCHEMA)
_CONFIGS.joinpath(model_contracts.SCHEMA_FILE).write_text(model_contracts.schema_text())
_CONFIGS.joinpath("flow.schema.json").write_text(flow.schema_text())
_CONFIGS.joinpath(data_schema.JSON_SCHEMA_FILE).write_text(data_schema.schema_text())
