"""A whole stack of this repository on this machine, in a copy that goes with it: `pytest -m stack`, a minute or two."""

from pathlib import Path

import pytest
from heliostat.testing import LocalStack

ROOT = Path(__file__).parents[1]


@pytest.mark.stack
def test_a_stack_goes_from_nothing_to_answers_and_a_second_up_changes_nothing() -> None:
    with LocalStack(ROOT) as stack:
        stack.up()
        for workload in stack.workloads:
            answer = stack.predict(workload)
            assert answer.status_code == 200, answer.text
        stack.up("--expect-no-changes")
