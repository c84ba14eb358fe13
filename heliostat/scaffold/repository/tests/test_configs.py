"""The config of every stack."""

from pathlib import Path

import pytest
from heliostat.testing import load_stack

ROOT = Path(__file__).parents[1]
STACKS = [file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in sorted(ROOT.glob("configs/Pulumi.*.yaml"))]


@pytest.mark.parametrize("stack", STACKS)
def test_the_config_of_every_stack_has_no_mistake(stack: str) -> None:
    load_stack(ROOT, stack)
