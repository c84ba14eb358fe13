"""Writes the JSON Schema of the stacks' configs from the models; a test fails where the committed one is stale."""

from pathlib import Path

from heliostat.spec.stack import schema_text
from workloads.flights.parameters import Training

Path(__file__).parents[1].joinpath("configs", "stack.schema.json").write_text(schema_text({"flights": Training}))
