"""`[environments]` of heliostat.toml, and the counters that tell of use."""

from typing import Any

import pytest

from heliostat.gitops.settings import EnvironmentSettings, seconds_of, settings_of
from heliostat.gitops.usage import counts_in


def test_what_is_not_said_is_as_usual():
    assert settings_of({}) == (EnvironmentSettings(), [])


def test_all_of_it_is_read():
    said = {"template": "small", "idle": "36h", "protected": ["main"], "keep-runs": False}
    assert settings_of(said) == (EnvironmentSettings("small", 36 * 3600.0, ("main",), False), [])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400.0), ("72h", 259200.0), ("3d", 259200.0), ("0d", None), ("3", None)]
)
def test_a_time_is_a_number_and_a_unit(text: str, seconds: float | None):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("said", ["x", ["a"]])
def test_what_is_no_table_is_told(said: Any):
    assert len(settings_of(said)[1]) == 1


def test_every_mistake_is_told_at_once():
    _, mistakes = settings_of({"template": "a/b", "idle": "soon", "protected": "main", "keep-runs": "yes", "idel": "3d"})
    assert [each.partition(":")[0].removeprefix("environments.") for each in mistakes] == [
        *("idel", "template", "idle", "protected", "keep-runs")
    ]


def test_a_pattern_protects_a_branch_by_either_name():
    settings = EnvironmentSettings(protected=("main", "release/*"))
    assert settings.protects("main", "main-abc") and settings.protects("release/1")
    assert not settings.protects("feature/main")


def test_an_application_s_requests_are_summed_over_all_ways():
    text = """\
# TYPE heliostat_requests counter
heliostat_requests_total{application="a",path="/predict"} 3.0
heliostat_requests_total{application="a",path="other"} 4.0
heliostat_requests_total{application="b",path="other"} 0.0
# TYPE heliostat_failed_requests counter
heliostat_failed_requests_total{application="b"} 9.0
"""
    assert counts_in(text) == {"a": 7.0, "b": 0.0}
