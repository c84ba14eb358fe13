"""The whole graph of the platform `kubernetes`, as the embedded engine makes it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.platforms import golden
from tests.platforms.kubernetes_config import CONFIG
from tests.platforms.recorded_stack import RecordedStack


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    made = RecordedStack(tmp_path_factory.mktemp("kubernetes"), json.loads(json.dumps(CONFIG)))
    assert asyncio.run(made.preview()).succeeded, made.errors()
    assert asyncio.run(made.up()).succeeded, made.errors()
    return made


def test_the_plan_is_the_one_that_was_reviewed(stack):
    golden.check("kubernetes", stack.plan())
