"""The config of every stack."""

from pathlib import Path

import pytest
import yaml
from heliostat.layout import workload_names
from heliostat.program import parameters_of
from heliostat.spec.stack import parse

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("file", sorted(ROOT.glob("configs/Pulumi.*.yaml")), ids=lambda file: file.name)
def test_the_config_of_every_stack_has_no_mistake(file: Path) -> None:
    config = yaml.safe_load(file.read_text())["config"]
    sections = {key.removeprefix("heliostat:"): value for key, value in config.items() if key.startswith("heliostat:")}
    parse(sections, file.name, workload_names(ROOT / "workloads"), parameters_of=parameters_of)
