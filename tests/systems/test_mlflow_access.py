"""Who is let in to MLflow is said by the variables that MLflow's own client reads."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import Registry

NAMES = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def told(status: int = 200) -> list[str | None]:
    """What a request says of who sends it."""
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(status, text="3.17.0")

    with Registry("http://mlflow/", httpx.MockTransport(answer)) as registry:
        registry.server_version()
    return seen


def test_where_nothing_is_set_nothing_is_said() -> None:
    assert told() == [None]


def test_a_token_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    assert told() == ["Bearer t"]


def test_a_name_and_a_password_win_as_with_mlflows_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("t", "ada", "word"), strict=True):
        monkeypatch.setenv(name, value)
    assert told() == [f"Basic {b64encode(b'ada:word').decode()}"]


def test_a_name_alone_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    assert told() == [None]


def test_a_server_that_lets_nobody_in_is_a_final_error_with_its_status() -> None:
    with pytest.raises(PermanentError, match="answered 401"):
        told(401)


@pytest.mark.parametrize(("files", "there"), [('[{"path": "a"}]', True), ("[]", False)])
def test_whether_a_models_files_are_there_is_asked_of_who_hands_them_out(files: str, there: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["path"] == "models/1"
        return httpx.Response(200, text=f'{{"files": {files}}}')

    with Registry("http://mlflow", httpx.MockTransport(answer)) as registry:
        assert registry.hands_out("mlflow-artifacts:/models/1") is there
        assert registry.hands_out("s3://elsewhere/models/1"), "who does not hand it out cannot tell"


def test_a_download_that_breaks_off_may_be_tried_again(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "path" in request.url.params:
            return httpx.Response(200, text='{"files": [{"path": "model.bin"}]}')
        raise httpx.ReadError("connection reset", request=request)

    with Registry("http://mlflow", httpx.MockTransport(answer)) as registry, pytest.raises(RetryableError, match="broke off"):
        registry.download("mlflow-artifacts:/models/1", tmp_path)


def test_files_of_which_the_server_knows_nothing_are_not_there() -> None:
    with Registry("http://mlflow", httpx.MockTransport(lambda _: httpx.Response(404))) as registry:
        assert not registry.hands_out("mlflow-artifacts:/models/1")


def test_files_are_put_beside_a_run_s_model_where_the_server_keeps_its_artifacts() -> None:
    put: dict[str, bytes] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            put[request.url.path] = request.content
            return httpx.Response(200, json={})
        uri = "mlflow-artifacts:/1/r/artifacts" if request.url.params["run_id"] == "r" else "s3://elsewhere/r"
        return httpx.Response(200, json={"run": {"info": {"run_id": "r", "artifact_uri": uri}}})

    with Registry("http://mlflow", httpx.MockTransport(answer)) as registry:
        registry.attach("r", {"roc.svg": b"<svg/>"}, "evaluation")
        assert put == {"/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/evaluation/roc.svg": b"<svg/>"}
        with pytest.raises(PermanentError, match="start it with --serve-artifacts"):
            registry.attach("other", {"roc.svg": b"<svg/>"}, "evaluation")
