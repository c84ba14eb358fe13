"""Serve's own proxies, with what places them in Serve's controller."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from heliostat.systems import serve_proxies

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Wrapper:
    """Stands for a proxy that was started."""

    def __init__(self, **options: Any) -> None:
        self.actor_id = self.worker_id = self.log_file_path = "a"


class Nodes:
    """A cluster of a head."""

    def get_alive_nodes(self) -> list[tuple[str, str, str]]:
        return [("head", "127.0.0.1", "")]

    def get_alive_node_ids(self) -> set[str]:
        return {"head"}


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What keeps the proxies of Serve's controller; its class is as it was afterwards."""
    from ray.serve._private.proxy_state import ProxyStateManager
    from ray.serve.config import HTTPOptions, ProxyLocation
    from ray.serve.schema import LoggingConfig

    monkeypatch.setattr(ProxyStateManager, serve_proxies.NODES, getattr(ProxyStateManager, serve_proxies.NODES))
    return ProxyStateManager(
        HTTPOptions(), "head", Nodes(), LoggingConfig(),
        proxy_location=ProxyLocation.HeadOnly, actor_proxy_wrapper_class=Wrapper,
    )  # fmt: skip


def test_a_controller_that_is_told_so_starts_no_proxy(manager: Any) -> None:
    serve_proxies.start_none()
    manager.update({"head"})
    assert manager.get_proxy_details() == {}


def test_replicas_still_listen(manager: Any) -> None:
    from ray.serve.config import ProxyLocation

    serve_proxies.start_none()
    assert manager.get_proxy_location() != ProxyLocation.Disabled, "each asks for it before it listens"


def test_a_controller_finds_what_it_is_to_call() -> None:
    from ray._common.utils import import_attr

    assert import_attr(serve_proxies.START_NONE) is serve_proxies.start_none


def test_a_serve_that_places_its_proxies_differently_runs_with_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serve_proxies, "import_module", lambda name: SimpleNamespace(ProxyStateManager=Nodes))
    serve_proxies.start_none()
    assert not hasattr(Nodes, serve_proxies.NODES)
    assert "a proxy that nobody uses starts" in caplog.text
