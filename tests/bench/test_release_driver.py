"""The versions that the bench ships."""

from bench.release_driver import ReleaseDriver
from heliostat.rollout.refusals import as_judged
from heliostat.spec.strategies import BlueGreen
from heliostat.testing import desired


def test_the_next_version_is_not_what_was_rolled_back_a_moment_ago(monkeypatch):
    serving = desired(strategy=BlueGreen())
    monkeypatch.setattr(ReleaseDriver, "serving", lambda self: serving)
    driver = object.__new__(ReleaseDriver)
    first, second = driver.next(BlueGreen()), driver.next(BlueGreen())
    assert as_judged(first) != as_judged(second) != as_judged(serving)
    assert first.version.code_uri == serving.version.code_uri
