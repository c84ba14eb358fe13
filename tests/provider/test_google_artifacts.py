"""Whether MLflow and Ray of this machine can use a bucket of Google's is told before anything is made."""

from __future__ import annotations

import pytest

from heliostat.provider import tracking_server
from heliostat.provider.properties import UNKNOWN
from heliostat.provider.tracking_server import TrackingServerHandler

MISSING = "google-cloud-storage is missing"


@pytest.mark.parametrize(
    ("artifacts", "missing", "paths"),
    [
        ({"uri": "gs://bucket/x"}, MISSING, ["artifacts.uri"]),
        ({"uri": "gs://bucket/x"}, None, []),
        ({"uri": "s3://bucket/x"}, MISSING, []),
        ({"uri": "file:///x"}, MISSING, []),
        ({"uri": UNKNOWN}, MISSING, []),
        (UNKNOWN, MISSING, []),
    ],
)
async def test_a_bucket_that_mlflow_has_no_client_of_is_refused_in_the_preview(monkeypatch, artifacts, missing, paths):
    monkeypatch.setattr(tracking_server, "missing_clients", lambda: missing)
    found = await TrackingServerHandler().mistakes({"directory": "/d", "artifacts": artifacts})
    assert [failure.path for failure in found] == paths
    assert all(failure.reason == missing for failure in found)
