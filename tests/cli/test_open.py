"""`heliostat open`: the right address, a browser where there is one, and no secret in what it is started with."""

import json
import threading
import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from rollout_records import succeeded

from heliostat.cli.operators.pages import has_browser, redirecting


class Browser:
    """Remembers what it was started with."""

    def __init__(self, monkeypatch):
        self.opened = []
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(webbrowser, "open", self.open)

    def open(self, address):
        self.opened.append(address)
        return True


@pytest.fixture
def browser(monkeypatch):
    return Browser(monkeypatch)


@pytest.fixture
def platform(deployed_platform):
    flights = ("Application", {"name": "flights", "url": "http://127.0.0.1:8080/flights"})
    more = {"trackingUri": "http://127.0.0.1:5000"}
    exported = (
        deployed_platform.platform()
        | more
        | {"ray": {"url": "http://127.0.0.1:8265", "credential": {"kind": "file", "path": str(deployed_platform.token)}}}
    )
    deployed_platform.serves = lambda *others: deployed_platform.exports(resources=[flights, *others], platform=exported)
    deployed_platform.serves()
    return deployed_platform


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("mlflow", "http://127.0.0.1:5000"),
        ("app", "http://127.0.0.1:8080/flights"),
        ("docs", "http://127.0.0.1:8080/flights/docs"),
    ],
)
def test_a_page_is_printed_and_opened_and_only_printed_where_that_is_asked_for(platform, stack, browser, page, address):
    assert stack.ok("open", page, "--print") == f"{address}\n"
    assert browser.opened == []
    assert stack.ok("open", page) == f"{address}\n"
    assert browser.opened == [address]
    assert json.loads(stack.ok("open", page, "--json")) == {"page": page, "address": address, "opened": True}


def test_without_a_display_the_address_is_printed_and_nothing_is_started(platform, stack, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("a browser was started"))
    assert json.loads(stack.ok("open", "mlflow", "--json"))["opened"] is False
    assert not has_browser({})
    assert has_browser({"BROWSER": "firefox"})


def test_one_of_several_applications_has_to_be_named(platform, stack, browser):
    platform.serves(("Application", {"name": "taxis", "url": "http://127.0.0.1:8080/taxis"}))
    ran = stack("open", "docs")
    assert ran.code == 1
    assert "name one of flights, taxis" in ran.err
    assert stack.ok("open", "docs", "taxis", "--print") == "http://127.0.0.1:8080/taxis/docs\n"


def test_a_stack_that_is_not_up_is_told_with_the_command_that_helps(stack, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    ran = stack("open", "mlflow")
    assert ran.code == 1
    assert "`heliostat up -s dev`" in ran.err


@pytest.mark.parametrize("command", [("open", "ray"), ("dashboard",)])
def test_rays_dashboard_is_opened_by_a_file_that_leads_to_the_login_and_no_argument_tells_it(
    platform, stack, browser, monkeypatch, command
):
    led_to = []

    def visit(address):
        page = Path(unquote(urlsplit(address).path))
        assert page.stat().st_mode & 0o077 == 0
        url = page.read_text().partition("url=")[2].partition('"')[0]
        led_to.append((address, url))
        threading.Thread(target=lambda: httpx.get(url, trust_env=False, follow_redirects=False), daemon=True).start()
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    ran = stack(*command)
    assert ran.code == 0, ran.err
    ((address, url),) = led_to
    assert url.rpartition("/")[2] not in address
    assert "Logged in." in ran.out
    assert "hush" not in ran.out + ran.err + address + url
    assert not Path(unquote(urlsplit(address).path)).exists()


def test_an_address_that_nobody_opens_does_not_hold_for_ever(platform, stack, browser):
    ran = stack("open", "ray", "--print", "--seconds", "1")
    assert ran.code == 1
    assert "nobody opened the address within 1 s" in ran.err
    assert browser.opened == []


@pytest.mark.parametrize(
    ("credential", "where"),
    [
        ({"kind": "environment", "variable": "RAY_TOKEN"}, "It is in the environment variable RAY_TOKEN"),
        ({"kind": "file", "path": "/etc/ray/token"}, "It is in /etc/ray/token"),
        ({"kind": "basic", "usernameVariable": "N", "passwordVariable": "P"}, "The name and the password are in N and P"),
        (
            {"kind": "kubernetes", "namespace": "ml", "name": "ray", "key": "token"},
            "It is in the key token of the secret ray in the namespace ml",
        ),
    ],
)
def test_a_dashboard_elsewhere_is_opened_and_where_its_token_is_is_told(platform, stack, browser, credential, where):
    ray = {"url": "http://10.0.0.2:8265", "credential": credential}
    platform.exports(platform=platform.platform() | {"ray": ray})
    out = stack.ok("open", "ray")
    assert where in out
    assert browser.opened == ["http://10.0.0.2:8265"]
    assert json.loads(stack.ok("open", "ray", "--json"))["credential"] == credential


def test_a_page_that_only_clients_reach_is_told_with_the_command_that_brings_it_here(platform, stack, browser):
    proxy = {"kind": "kubernetes", "context": "prod"}
    ray = {"url": "http://head.ml.svc:8265", "proxy": proxy}
    more = {"ray": ray, "trackingUri": "http://mlflow.ml.svc:5000", "trackingAccess": {"proxy": proxy}}
    platform.exports(platform=platform.platform() | more)
    for page, service in (("ray", "service/head 8265"), ("mlflow", "service/mlflow 5000")):
        ran = stack("open", page)
        assert ran.code == 1
        assert f"run `kubectl --context=prod --namespace=ml port-forward {service}` and open http://127.0.0.1:" in ran.err
    assert browser.opened == []


def test_as_json_rays_address_comes_with_the_tokens_file_and_without_the_token(platform, stack):
    said = json.loads(stack.ok("open", "ray", "--json"))
    credential = {"kind": "file", "path": str(platform.token)}
    assert said == {"page": "ray", "address": "http://127.0.0.1:8265", "credential": credential, "opened": False}


def test_the_newest_rollouts_report_is_written_and_opened(controller, stack, browser):
    controller.serve(succeeded())
    out = stack.ok("open", "report")
    path = stack.folder / ".heliostat" / "reports" / "dev" / "rollout-flights-7.html"
    assert out == f"{path.as_uri()}\n"
    assert "<html" in path.read_text()
    assert browser.opened == [path.as_uri()]
    stack.ok("open", "report", "--print", "-o", "mine.html")
    assert (stack.folder / "mine.html").exists()
    assert len(browser.opened) == 1


def test_a_page_that_redirects_is_gone_afterwards_and_escapes_what_it_leads_to():
    with redirecting('http://x/"><script>') as address:
        text = Path(urlsplit(address).path).read_text()
    assert "<script>" not in text
    assert not Path(urlsplit(address).path).exists()
