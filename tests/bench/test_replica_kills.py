import asyncio
import os
import random
import subprocess
import sys

import pytest

from bench import replica_kills
from bench.answers import Answers
from bench.commands import MeasurementError
from bench.replica_kills import KILLS, REPLICAS, over, plant
from heliostat.spec.rollouts import ServingArguments


def test_requests_are_slow_beyond_a_quarter_of_a_second():
    found = Answers.of([(float(number), ms, "", "1") for number, ms in enumerate((1.0, 250.0, 251.0, 1010.0))])
    assert over(found) == {250: 2, 500: 1, 1000: 1}
    assert over(Answers.of([])) == {250: 0, 500: 0, 1000: 0}


def test_the_replicas_are_made_with_what_serve_gets(tmp_path):
    written = replica_kills.arguments(tmp_path).model_dump(mode="json", by_alias=True)
    again = ServingArguments.model_validate(written)
    assert (again.route_prefix, again.replicas) == ("/_/tiny/green", REPLICAS)
    assert str(tmp_path) in again.spool


def test_enough_replicas_are_killed_to_see_a_loss_of_one_in_twenty():
    """A loss at one kill in twenty stays unseen in less than one run of fifty."""
    assert KILLS >= 40
    assert 0.95**KILLS < 0.02


def test_too_few_requests_are_no_measurement(tmp_path, monkeypatch):
    class Load:
        def finish(self):
            return Answers.of([(1.0, 1.0, "", "1")])

    class Made:
        url = ""

        async def kill_one_after_another(self, count):
            pass

    class Session:
        folder = tmp_path

    class Context:
        def __init__(self, value):
            self.value = value

        def __enter__(self):
            return self.value

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(replica_kills, "plant", lambda folder: Context(Made()))
    monkeypatch.setattr(replica_kills, "busy", lambda *_: Context(Load()))
    monkeypatch.setattr(replica_kills, "_STEADY_S", 0)
    with pytest.raises(MeasurementError, match="the replicas were not busy"):
        list(replica_kills.replica_kills(Session()))


@pytest.mark.local_stack
def test_replicas_are_killed_one_after_another_and_others_come(tmp_path, monkeypatch):
    from bench.session import answers

    monkeypatch.setattr(replica_kills, "_WHOLE_S", 0.05)
    with plant(tmp_path) as made:
        before = [process for _, process in made._live]
        assert answers(made.url, {"x": 3}, "y")
        asyncio.run(made.kill_one_after_another(2))
        assert answers(made.url, {"x": 3}, "y")
        assert len(made._live) == REPLICAS
        assert not {process for _, process in made._live} & set(before)
        assert not any(alive(process) for process in before)
        after = [process for _, process in made._live]
    assert not any(alive(process) for process in after)


@pytest.mark.local_stack
def test_replicas_end_with_what_made_them(tmp_path):
    (tmp_path / "arguments.json").write_text(replica_kills.arguments(tmp_path).model_dump_json(by_alias=True))
    environment = {**os.environ, "PYTHONPATH": f"{replica_kills.CODE}{os.pathsep}{replica_kills.SOURCE}"}
    argv = [sys.executable, "-m", "bench.forked_replicas", str(tmp_path / "arguments.json")]
    port = random.randint(40_000, 60_000)
    made = subprocess.Popen(argv, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    made.stdin.write(f"serve {port}\n")
    made.stdin.flush()
    child = int(made.stdout.readline())
    assert alive(child)
    made.communicate(timeout=30)
    assert made.returncode == 0
    assert not alive(child)


@pytest.mark.local_stack
def test_a_replica_that_does_not_come_up_is_told_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(replica_kills, "CONTRACT", "workloads.tiny.contract:BROKEN")
    monkeypatch.setattr(replica_kills, "_COMES_S", 3.0)
    with pytest.raises(MeasurementError, match="no column 'altitude'"), plant(tmp_path):
        pass


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
