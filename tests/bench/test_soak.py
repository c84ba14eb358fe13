import json

from bench import soak
from bench.soak import Round, load, save, sources_digest, summary


def a_round(strategy="canary", requests=1000, failed=0, sources="abc"):
    return Round(strategy, requests, failed, 12.5, 20.0, 1.0, "commit", sources)


def test_rounds_are_kept_and_counted_only_with_the_sources_that_they_measured(tmp_path):
    path = tmp_path / "soak.json"
    save(path, [a_round(), a_round(sources="other")])
    assert load(path, "abc") == [a_round()]
    assert load(path, "none") == []
    assert load(tmp_path / "missing.json", "abc") == []


def test_a_file_of_too_few_requests_says_that_it_is_not_complete(tmp_path):
    path = tmp_path / "soak.json"
    save(path, [a_round()])
    assert json.loads(path.read_text())["complete"] is False
    save(path, [a_round(requests=soak.REQUESTS)])
    assert json.loads(path.read_text())["complete"] is True


def test_a_summary_counts_by_strategy():
    found = summary([a_round(), a_round("rolling", failed=2), a_round()])
    assert found["requests"] == 3000
    assert found["by_strategy"] == {
        "canary": {"rollouts": 2, "requests": 2000, "failed": 0},
        "rolling": {"rollouts": 1, "requests": 1000, "failed": 2},
    }
    assert summary([])["requests"] == 0


def test_the_strategies_that_promise_to_lose_nothing_take_turns():
    assert [strategy.kind for strategy in soak.STRATEGIES] == ["blue-green", "canary", "rolling"]


def test_a_change_of_the_library_is_another_soak(tmp_path):
    (tmp_path / "heliostat" / "controller").mkdir(parents=True)
    before = sources_digest(tmp_path)
    (tmp_path / "heliostat" / "controller" / "a.py").write_text("1")
    assert sources_digest(tmp_path) != before
