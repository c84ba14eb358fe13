"""The versions that the bench ships."""

from bench.release_driver import ReleaseDriver
from heliostat.rollout.refusals import as_judged
from heliostat.spec.resources import StoreAddress
from heliostat.spec.rollouts import Desired, Version
from heliostat.spec.strategies import BlueGreen
from heliostat.spec.workload import Limits, PredictionLog

SERVING = Desired(
    version=Version(
        digest="0" * 64,
        label="1-serves",
        code_uri="file:///code.zip",
        contract="app:CONTRACT",
        model_uri="models:/flights/1",
        tracking_uri="http://127.0.0.1:1",
        store=StoreAddress(uri="file:///objects"),
        prediction_log=PredictionLog(),
        limits=Limits(),
    ),
    replicas=2,
    cpus_per_replica=0.1,
    max_ongoing_requests=64,
    startup_timeout_seconds=120,
    strategy=BlueGreen(),
)


def test_the_next_version_is_not_what_was_rolled_back_a_moment_ago(monkeypatch):
    monkeypatch.setattr(ReleaseDriver, "serving", lambda self: SERVING)
    driver = object.__new__(ReleaseDriver)
    first, second = driver.next(BlueGreen()), driver.next(BlueGreen())
    assert as_judged(first) != as_judged(second) != as_judged(SERVING)
    assert first.version.code_uri == SERVING.version.code_uri
