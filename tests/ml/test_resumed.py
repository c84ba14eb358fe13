"""How a training says that it goes on to another model than one in a go."""

from __future__ import annotations

import json

import pytest

from heliostat.ml import metric_logger
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.training import Context
from heliostat.systems.errors import RetryableError
from heliostat.systems.ray_jobs import PROGRESS


class Tags:
    """A tracking server that keeps tags, or is away."""

    def __init__(self):
        self.kept, self.away = {}, False

    def __call__(self, uri):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def log(self, run_id, parameters=None, tags=None, metrics=()):
        if self.away:
            raise RetryableError("MLflow does not answer")
        self.kept.update({(run_id, name): value for name, value in (tags or {}).items()})


@pytest.fixture
def tags(monkeypatch):
    found = Tags()
    monkeypatch.setattr(metric_logger, "Registry", found)
    return found


def context(rank):
    made = MetricLogger("http://mlflow", "run-1")
    return Context({}, None, rank, 2, 1, (), made), made


def test_the_run_is_tagged_and_the_job_s_log_says_it(tags, capsys):
    training, made = context(0)
    training.mark_resumed(50, "dart drops trees of this part of the training only")
    made.close()
    text = "resumed at 50: dart drops trees of this part of the training only"
    assert tags.kept == {("run-1", "heliostat.resumed"): text}
    assert json.loads(capsys.readouterr().out.removeprefix(PROGRESS)) == {"text": text}


def test_only_the_first_worker_says_it(tags, capsys):
    training, made = context(1)
    training.mark_resumed(50, "dart")
    made.close()
    assert tags.kept == {}
    assert capsys.readouterr().out == ""


def test_a_mark_that_cannot_be_kept_ends_the_attempt_for_the_model_would_not_be_what_it_says(tags):
    training, made = context(0)
    tags.away = True
    with pytest.raises(RetryableError):
        training.mark_resumed(50, "dart")
    tags.away = False
    made.close()
