"""`heliostat audit`, `access`, `erasure` and `review`, against a controller that runs."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from pathlib import Path

import pytest
import uvicorn
from click.testing import CliRunner
from fake_cluster import FakeCluster
from personal_fakes import EMAIL, ROW, key, opened
from test_controller import bring, desired
from test_permissions import POLICY, person
from test_reviews import REVIEW, item

from heliostat.cli.commands import heliostat
from heliostat.cli.commands.erasure import _require_all
from heliostat.cli.rollouts import access, locate
from heliostat.serving.rest.exchange import Request
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.personal import Privacy
from heliostat.spec.roles import AccessPolicy, Identity, Role
from heliostat.systems.governance_calls import ForbiddenError
from heliostat.systems.objects import Directory


class Live:
    """A controller on loopback, in a thread of its own, with an application whose contract has personal fields."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.privacy = Privacy(keys=(key(folder, "k1"),))
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    @property
    def objects(self) -> Directory:
        return Directory(self.folder / "objects")

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)

    async def _run(self) -> None:
        cluster = FakeCluster(self.folder)
        async with cluster.running() as client:
            declared = desired(1)
            version = declared.version.model_copy(update={"privacy": self.privacy, "review": REVIEW})
            await bring(client, declared.model_copy(update={"version": version}))
            server = uvicorn.Server(uvicorn.Config(cluster.app, port=self.port, log_level="critical", lifespan="off"))
            serving = asyncio.create_task(server.serve())
            self.address = cluster.address.model_copy(update={"url": f"http://127.0.0.1:{self.port}"})
            while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.02)
            self._ready.set()
            await asyncio.to_thread(self._stop.wait)
            server.should_exit = True
            await serving


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{sys.path[0]}")
    made = Live(tmp_path)
    for module in (access, locate):
        monkeypatch.setattr(module, "controller_of", lambda stack: made.address)
    monkeypatch.setattr(locate, "store_of", lambda stack: StoreAddress(uri=f"file://{tmp_path}/objects"))
    yield made
    made.stop()


def run(*words, code=0, given=None):
    done = CliRunner().invoke(heliostat, list(words), input=given, standalone_mode=False)
    result = done.return_value if done.exception is None else done.exception
    if isinstance(code, int):
        assert done.exception is None, done.output
        assert (result or 0) == code, done.output
        return done.output
    assert isinstance(result, Exception)
    return str(result)


def test_a_person_is_deleted_and_the_audit_log_has_the_proof_and_shows_when_it_is_changed(live):
    app = opened(live.folder, live.privacy)
    app.reply(Request("POST", "/predict", b"", {}, json.dumps(ROW).encode()))
    app.close()
    # The log of the contract with personal fields, under the name of the application that is declared here.
    (live.folder / "objects" / "predictions" / "loans").rename(live.folder / "objects" / "predictions" / "flights")
    told = run("erasure", "run", "flights", "--yes", "--reason", "asked for", given=f"{EMAIL}\n")
    assert "1 row was deleted; searched were " in told and "files of the prediction log (1)" in told and EMAIL not in told
    [listed] = json.loads(run("erasure", "list", "flights", "--json"))
    assert listed["proven"] and listed["reason"] == "asked for"
    shown = json.loads(run("erasure", "show", "flights", listed["id"], "--json"))
    assert shown["left"] == 0
    verified = json.loads(run("audit", "verify", "--json"))
    assert verified["faults"] == [] and verified["entries"] == 3
    entries = json.loads(run("audit", "show", "--json"))
    assert [each["action"] for each in entries] == ["person.erase", "person.erase-begin", "application.declare"]
    assert entries[0]["after"]["proof"] == shown["digest"]
    assert EMAIL not in str(entries)
    assert "person.erase" in run("audit", "show")
    live.objects.delete("ledger/audit-log/entries/0000000003.json")
    assert "the log was changed" in run("audit", "verify", code=1)
    assert "entry 3" in run("audit", "verify", "--head", verified["head"], code=1)


def test_a_deletion_needs_the_right_to_each_data_set_that_it_reaches():
    ada = Identity(name="ada", known=True, roles=(Role.PRIVACY_OFFICER,), applications=("loans-x", "loans"))
    _require_all(ada, ["loans"])
    with pytest.raises(ForbiddenError, match="the data set scores has rows as well: ada may not erase scores"):
        _require_all(ada, ["loans", "scores"])


def test_what_is_asked_of_a_person_is_no_argument_and_nobody_is_nobody(live):
    assert "write it to standard input" in run("erasure", "run", "flights", "--yes", "--field", "email", code="", given="")
    assert "name it with --field" in run("erasure", "run", "flights", "--yes", code="", given="x\n")
    assert "Nobody's data were deleted" in run("erasure", "list", "flights")


def test_a_token_lets_its_person_in_and_a_refusal_says_what_is_missing(live, monkeypatch):
    assert "may do everything" in run("access", "show")
    made = CliRunner().invoke(heliostat, ["access", "token", "li", "--role", "reviewer"])
    token = made.stdout.strip().splitlines()[-1]
    assert len(token) == 64 and token not in made.stderr and "roles: [reviewer]" in made.stderr
    asyncio.run(_grant(live, AccessPolicy(people={**POLICY.people, "li": person(token, Role.REVIEWER)})))
    monkeypatch.setenv("HELIOSTAT_TOKEN", token)
    assert "This is li: reviewer." in run("access", "show")
    assert json.loads(run("access", "show", "--json"))["you"]["name"] == "li"
    assert "li may not audit" in run("audit", "show", code="")
    assert "the roles are viewer" in run("access", "token", "x", "--role", "king", code="")


async def _grant(live, policy):
    from heliostat.systems.controller_api import ControllerClient

    async with ControllerClient(live.address) as client:
        await client.grant(policy)


def test_what_came_of_reviews_is_told_with_where_people_review(live):
    live.objects.put("reviews/flights/items/a.jsonl", item(1).model_dump_json().encode())
    told = run("review", "flights")
    assert "flights: 1 wait, 0 settled" in told and f"{live.address.url}/review/flights" in told and "not known yet" in told
    assert json.loads(run("review", "--json"))["waiting"] == 1
