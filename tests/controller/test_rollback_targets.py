"""A rollback goes to what served before, where all of that is still there."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from api_server import ApiServer, api_server
from test_controller import desired

from heliostat.controller.rollback_targets import NoRollbackTargetError, at, before, is_warm, kept, missing, served
from heliostat.rollout.model import Colour, ColourStatus, Observed, Progress, State
from heliostat.rollout.refusals import remember
from heliostat.spec.addresses import Access, KubernetesProxy
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.logged_models import ModelEnvironment
from heliostat.spec.rollouts import Desired, Phase, Runtime
from heliostat.spec.strategies import BlueGreen
from heliostat.systems.errors import PermanentError, RetryableError

__all__ = ["api_server"]


def entry(number: int, target: int, previous: int | None = None, weight: float = 1.0) -> Entry:
    """After which `target` had `weight` of the traffic, and `previous` the rest."""
    found = {desired(target).version.digest: weight}
    if previous is not None and weight < 1:
        found[desired(previous).version.digest] = 1 - weight
    return Entry(
        number=number, id=str(number), application="flights", at=float(number), kind=EntryKind.SHIFT, rollout=number,
        phase=Phase.SHIFTING, strategy=BlueGreen(), previous=desired(previous) if previous else None,
        target=desired(target), weights=found if weight else {},
    )  # fmt: skip


def state(serves: int, before: int | None = None, phase: Phase = Phase.SUCCEEDED) -> State:
    """Version `serves` in green, and the one before it still in blue."""
    rollout = Progress(
        number=9, phase=phase, strategy=BlueGreen(), way_back=BlueGreen(), candidate=Colour.GREEN, target=desired(serves),
        previous=desired(before) if before else None, previous_colour=Colour.BLUE, started_at=1.0, since=1.0,
    )  # fmt: skip
    found = State(name="flights", live=Colour.GREEN, share=10_000, rollout=rollout)
    found = found.with_slot(Colour.GREEN, desired=desired(serves), replicas=2)
    return found.with_slot(Colour.BLUE, desired=desired(before), replicas=2) if before else found


def test_what_had_most_of_the_traffic_is_what_an_entry_says_served() -> None:
    assert served(entry(1, target=2, previous=1, weight=0.1)) == desired(1)
    assert served(entry(1, target=2, previous=1, weight=0.9)) == desired(2)
    assert served(entry(1, target=2, weight=0)) is None


def test_a_change_of_replicas_that_went_back_served_with_those_of_before() -> None:
    two, ten = desired(1), desired(1).model_copy(update={"replicas": 10})
    changed = entry(1, target=1).model_copy(update={"previous": two, "target": ten, "kind": EntryKind.END})
    assert served(changed.model_copy(update={"phase": Phase.SUCCEEDED})) == ten
    assert served(changed.model_copy(update={"phase": Phase.FAILED})) == two
    assert served(changed.model_copy(update={"phase": Phase.ROLLING_BACK})) == two


def test_the_newest_other_version_with_all_of_the_traffic_is_the_one_before() -> None:
    entries = [entry(4, 3), entry(3, 3, previous=2, weight=0.1), entry(2, 2), entry(1, 1)]
    assert before(state(3), entries) == (desired(2), entries[2])


def test_what_was_rolled_back_is_passed_over() -> None:
    entries = [entry(3, 1), entry(2, 2), entry(1, 5)]
    rolled = remember(state(1), desired(2), 2, 1.0, "slow")
    assert before(rolled, entries) == (desired(5), entries[2])


def test_an_empty_ledger_is_a_clear_error() -> None:
    with pytest.raises(NoRollbackTargetError, match="no version that served before"):
        before(state(1), [entry(1, 1)])


def test_what_is_on_its_way_is_aborted_and_not_gone_back_from() -> None:
    with pytest.raises(NoRollbackTargetError, match="rollout abort"):
        before(state(3, phase=Phase.ANALYSING), [entry(1, 1)])


def test_an_entry_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(NoRollbackTargetError, match="no entry 9: it has 1 to 4"):
        at("flights", 9, None, 4)
    with pytest.raises(NoRollbackTargetError, match="no entry 9: it is empty"):
        at("flights", 9, None, 0)
    with pytest.raises(NoRollbackTargetError, match="nothing served after entry 2"):
        at("flights", 2, entry(2, 1, weight=0), 4)
    assert at("flights", 2, entry(2, 1), 4) == desired(1)


def test_what_was_removed_with_the_store_is_no_way_back_though_its_name_may_be_there_again() -> None:
    with pytest.raises(NoRollbackTargetError, match=r"entry 2 .* was removed with the object store .* up to entry 3"):
        at("flights", 2, entry(2, 1), 4, emptied=3)
    assert at("flights", 4, entry(4, 1), 4, emptied=3) == desired(1)


def test_what_is_kept_warm_is_known_without_the_ledger() -> None:
    assert kept(state(2, before=1, phase=Phase.RETAINING)) == desired(1)
    assert kept(state(2, before=1)) is None
    assert kept(remember(state(2, before=1, phase=Phase.RETAINING), desired(1), 1, 1.0, "slow")) is None


def test_only_what_has_healthy_replicas_is_warm() -> None:
    warm = Observed(blue=ColourStatus(healthy=frozenset({"a"})))
    assert is_warm(state(2, before=1), warm, desired(1))
    assert not is_warm(state(2, before=1), Observed(), desired(1))
    assert not is_warm(state(2), warm, desired(1))


class Registry(BaseHTTPRequestHandler):
    """A tracking server with version 1, of which the files are there, and version 2, of which they are not."""

    def do_GET(self) -> None:
        body = self._body()
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write((body or "{}").encode())

    def _body(self) -> str | None:
        if "get-download-uri" in self.path:
            version = self.path.rpartition("version=")[2]
            return f'{{"artifact_uri": "mlflow-artifacts:/models/{version}"}}' if version in ("1", "2") else None
        return f'{{"files": {"[{}]" if self.path.endswith("1") else "[]"}}}'

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def tracking_uri() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def version(number: int, folder: Path, tracking_uri: str) -> Desired:
    wanted = desired(number)
    changed = {"code_uri": f"file://{folder}/code/a.zip", "tracking_uri": tracking_uri}
    return wanted.model_copy(update={"version": wanted.version.model_copy(update=changed)})


def test_nothing_is_missing_where_code_and_model_are_there(tmp_path: Path, tracking_uri: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.zip").write_bytes(b"zip")
    assert missing(version(1, tmp_path, tracking_uri).version) == ()


def test_each_thing_that_is_gone_is_named(tmp_path: Path, tracking_uri: str) -> None:
    code, files = missing(version(2, tmp_path, tracking_uri).version)
    assert "code/a.zip" in code
    assert files == "the files of models:/flights/2 at mlflow-artifacts:/models/2"
    assert "the model models:/flights/3" in missing(version(3, tmp_path, tracking_uri).version)[1]


def test_a_library_that_is_gone_is_named(tmp_path: Path, tracking_uri: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.zip").write_bytes(b"zip")
    runtime = Runtime(library="0.0.9", library_digest="a" * 64, library_uri=f"file://{tmp_path}/library/a.zip")
    wanted = version(1, tmp_path, tracking_uri).version.model_copy(update={"runtime": runtime})
    assert missing(wanted) == (f"its library 0.0.9 at file://{tmp_path}/library/a.zip",)
    (tmp_path / "library").mkdir()
    (tmp_path / "library/a.zip").write_bytes(b"zip")
    assert missing(wanted) == ()


def test_an_environment_that_is_gone_is_named(tmp_path: Path, tracking_uri: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.zip").write_bytes(b"zip")
    own = ModelEnvironment(digest="e" * 64, uri=f"file://{tmp_path}/environments/e.zip", packages=("numpy==1.0",))
    wanted = version(1, tmp_path, tracking_uri).version.model_copy(update={"environment": own})
    assert missing(wanted) == (f"its environment at file://{tmp_path}/environments/e.zip",)


def test_a_registry_that_is_away_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(RetryableError):
        missing(version(1, tmp_path, "http://127.0.0.1:1").version)


def test_a_registry_inside_of_a_cluster_is_asked_and_one_that_lets_nobody_in_is_no_verdict(
    tmp_path: Path, tracking_uri: str, api_server: ApiServer
) -> None:
    api_server.services["ml", "mlflow", 5000] = tracking_uri
    access = Access(proxy=KubernetesProxy(kubeconfig=str(api_server.kubeconfig({"token": "ada-token"}))))
    wanted = version(2, tmp_path, "http://mlflow.ml.svc:5000").version
    assert missing(wanted, access)[1] == "the files of models:/flights/2 at mlflow-artifacts:/models/2"
    api_server.forbidden.add("services/proxy")
    with pytest.raises(PermanentError, match="let this user do that"):
        missing(wanted, access)
