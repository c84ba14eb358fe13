"""`heliostat ci command`, as a job calls it: by the event's file, against a forge and a controller that answer on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_commands_in_comments import POLICY, WAITS_TWICE
from test_controller import desired
from test_governance_commands import live, run

from heliostat.cli.rollouts import access, applications, locate
from heliostat.spec.rollouts import Declaration, Phase
from heliostat.systems.controller_api import ControllerClient

__all__ = ["live"]
TIMES = {"created_at": "2999-01-01T00:00:00Z", "updated_at": "2999-01-01T00:00:00Z"}
PULL = {
    "number": 7,
    "html_url": "https://forge/pull/7",
    "head": {"ref": "promote", "repo": {"full_name": "a/b"}},
    "base": {"ref": "main", "repo": {"full_name": "a/b"}},
}


class PlayedGitHub(BaseHTTPRequestHandler):
    """The calls of GitHub's API that a command takes, over one pull request."""

    comments: list[dict]

    def do_GET(self):
        self._answer(PULL if self.path.endswith("/pulls/7") else self.comments)

    def do_POST(self):
        if self.path == "/graphql":
            self._body()
            self._answer({"data": {"viewer": {"login": "bot"}}})
        else:
            self.comments.append({"id": 50 + len(self.comments), "user": {"login": "bot"}, **self._body(), **TIMES})
            self._answer(self.comments[-1])

    def do_PATCH(self):
        [found] = [each for each in self.comments if self.path.endswith(f"/issues/comments/{each['id']}")]
        found.update(self._body())
        self._answer(found)

    def _body(self):
        assert self.headers["authorization"] == "Bearer forge-token"
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def _answer(self, said):
        content = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class StacksHere:
    def name(self, said):
        return said or "production"

    def resources(self, stack):
        return [{"type": "heliostat:index:Application", "outputs": {"name": "flights"}}]


@pytest.fixture
def comments(live, tmp_path, monkeypatch):
    class Handler(PlayedGitHub):
        comments = [
            {"id": 12, "body": "/approve\nit is good", "user": {"login": "ada-l"}, "html_url": "https://c/12", **TIMES}
        ]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    event = tmp_path / "event.json"
    event.write_text(
        json.dumps({"action": "created", "issue": {"number": 7, "pull_request": {"url": "x"}}, "comment": {"id": 12}})
    )
    for name in ("GITLAB_CI", "GITEA_ACTIONS", "FORGEJO_ACTIONS", "TRIGGER_PAYLOAD"):
        monkeypatch.delenv(name, raising=False)
    given = {
        "GITHUB_ACTIONS": "true", "GITHUB_API_URL": f"http://127.0.0.1:{server.server_port}", "GITHUB_REPOSITORY": "a/b",
        "GITHUB_TOKEN": "forge-token", "GITHUB_EVENT_PATH": str(event), "HELIOSTAT_TOKEN": "ci",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for module in (access, applications, locate):  # each that has the name: an earlier test may have imported it
        monkeypatch.setattr(module, "stacks_here", StacksHere)
    yield Handler.comments
    server.shutdown()
    server.server_close()


async def _wait_for_a_person(address):
    async with ControllerClient(address) as client:
        await client.grant(POLICY)
        await client.declare("flights", Declaration(desired=desired(2, strategy=WAITS_TWICE)))
        async for status in client.follow("flights", await client.read("flights"), 0.2):
            if status.rollout.phase is Phase.WAITING:
                return


def test_a_job_does_what_the_comment_orders_and_answers_it(live, comments, monkeypatch):
    monkeypatch.delenv("HELIOSTAT_TOKEN")
    asyncio.run(_wait_for_a_person(live.address))
    monkeypatch.setenv("HELIOSTAT_TOKEN", "ci")
    told = json.loads(run("ci", "command", "--stack", "production", "--json"))
    assert told["standing"] == "done" and "step 1 of rollout 2" in told["told"]
    assert [each["body"].splitlines()[-1] for each in comments[1:]] == [told["told"]]
    assert json.loads(run("ci", "command", "--pull-request", "7", "--comment", "12", "--json"))["standing"] == "answered"
    monkeypatch.delenv("HELIOSTAT_TOKEN")
    assert "ada (by ci)" in run("audit", "show")


def test_a_token_that_lets_nobody_in_fails_the_job_and_what_is_no_command_does_not(live, comments):
    assert "the token is missing or wrong" in run("ci", "command", code=1), "nobody said yet who may do what"
    assert "begun" in comments[1]["body"], "the same job goes on once its token is there"
    comments[0]["body"] = "thank you"
    assert "is no command" in run("ci", "command")
    assert "go together" in run("ci", "command", "--comment", "12", code="")
