"""What a training's driver does for MLflow while the workers train."""

from __future__ import annotations

import sys
import threading

import pytest

pytest.importorskip("mlflow")


def test_mlflow_has_looked_at_what_is_installed_before_the_model_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.utils import requirements_utils

    from heliostat.jobs import packaging

    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    packaging.prepare()
    known = requirements_utils._MODULES_TO_PACKAGES
    assert known is not None
    assert known["mlflow"]
    assert "mlflow.pyfunc" in sys.modules


def test_workers_that_are_started_again_prepare_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliostat.jobs import packaging, train

    prepared = list[str]()
    monkeypatch.setattr(train.os, "setpriority", lambda *_: None)
    monkeypatch.setattr(packaging, "prepare", lambda: prepared.append(threading.current_thread().name))
    preparing = train._Preparing()
    for _ in range(2):
        preparing.begin()
    preparing.finish()
    assert len(prepared) == 1
    assert prepared != [threading.current_thread().name]
