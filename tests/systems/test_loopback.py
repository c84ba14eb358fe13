import http.server
import sys
import threading

import httpx
import pytest

from heliostat.systems import proc, processes
from heliostat.systems.loopback import past_proxies

ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode(), flush=True)"


@pytest.fixture
def server():
    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"directly")

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()
        thread.join()


def test_without_a_proxy_nothing_is_laid_over():
    assert past_proxies({"PATH": "/bin", "http_proxy": "", "NO_PROXY": "example.com"}) == {}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_with_a_proxy_loopback_is_excepted_in_both_spellings(name):
    said = past_proxies({name: "http://proxy:3128"})
    assert said == {"no_proxy": "127.0.0.1,localhost,::1", "NO_PROXY": "127.0.0.1,localhost,::1"}


def test_what_is_excepted_already_stays_and_stands_once():
    said = past_proxies({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "example.com, localhost", "no_proxy": "example.com"})
    assert said["NO_PROXY"] == said["no_proxy"] == "example.com,localhost,127.0.0.1,::1"
    assert past_proxies({"HTTP_PROXY": "http://proxy:3128", **said}) == said


def test_who_goes_past_the_proxy_everywhere_still_does():
    everything = {"no_proxy": "*", "NO_PROXY": "*"}
    assert past_proxies({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}) == everything
    assert past_proxies({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "example.com, *"}) == everything


def test_a_client_reaches_loopback_past_a_proxy_that_is_dead(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server)
    for name, value in past_proxies({"HTTP_PROXY": "http://127.0.0.1:9"}).items():
        monkeypatch.setenv(name, value)
    assert httpx.get(server).text == "directly"


async def test_a_service_reaches_loopback_past_the_proxy_of_whoever_starts_it(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pid = processes.start(processes.Service(tmp_path, "asking", (sys.executable, "-c", ASK, server)))
    assert proc.wait_until_gone(pid, 20)
    assert processes.log_tail(tmp_path, "asking") == "directly"
