"""Comments on pull requests that approve and roll back: by those alone whom the roles name, once, and in the audit log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import httpx
import pytest
from fake_cluster import FakeCluster
from rollouts_in_memory import ADA, World, quick
from test_controller import bring, desired

from heliostat.gitops.commanding import Outcome, Standing, answer
from heliostat.gitops.environments import ProtectedError
from heliostat.gitops.records import EnvironmentRecord
from heliostat.spec.addresses import TokenFile
from heliostat.spec.branch_environments import environment_name
from heliostat.spec.roles import AccessPolicy, Person, Role, token_digest
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep
from heliostat.systems.controller_api import ControllerClient, ForbiddenError
from heliostat.systems.errors import RetryableError
from heliostat.systems.forges import Comment, PullRequest

__all__ = ["quick"]
WAITS_TWICE = Canary(
    steps=(CanaryStep(weight=20, approval=True), CanaryStep(weight=50, approval=True), CanaryStep(weight=100)),
    retention_seconds=0,
)


def person(name, *roles, applications=(), **logins):
    return Person(token_sha256=token_digest(name), roles=roles, applications=applications, logins=logins)


POLICY = AccessPolicy(
    people={
        "ada": person("ada", Role.APPROVER, github="Ada-L"),
        "bob": person("bob", Role.VIEWER, github="bob"),
        "eve": person("eve", Role.APPROVER, applications=("taxis",), github="eve"),
        "root": person("root", Role.ADMIN, github="root"),
        "ci": person("ci", Role.RELAY),
    },
    stack_token=(Role.ADMIN,),
)


@dataclass
class MemoryForge:
    """One pull request and its comments."""

    pull: PullRequest = field(default_factory=lambda: PullRequest(7, "promote", "main", "https://forge/pull/7", False))
    kept: dict[str, Comment] = field(default_factory=dict)
    longest_comment = 65_536
    own_login = "bot"
    edits_to_fail: int = 0

    def comments(self, number: int) -> list[Comment]:
        assert number == self.pull.number
        return list(self.kept.values())

    def add_comment(self, number: int, text: str, author: str = "bot", at: float | None = None) -> Comment:
        made = Comment(str(len(self.kept) + 1), author, text, at or time.time(), url=f"https://forge/c/{len(self.kept) + 1}")
        self.kept[made.id] = made
        return made

    def edit_comment(self, number: int, comment: str, text: str) -> bool:
        if self.edits_to_fail:
            self.edits_to_fail -= 1
            raise RetryableError("the forge does not answer")
        if comment not in self.kept:
            return False
        self.kept[comment] = replace(self.kept[comment], text=text)
        return True

    def pull_request(self, number: int) -> PullRequest:
        return self.pull


@dataclass
class MemoryStacks:
    """Stacks with one controller in memory, by CI's token."""

    cluster: FakeCluster
    token: str = "ci"
    names: tuple[str, ...] = ("production",)
    away: bool = False

    def applications(self, stack: str) -> frozenset[str]:
        return frozenset({"flights"} if stack == "production" else ())

    def client(self, stack: str, login: str) -> ControllerClient:
        path = self.cluster.directory / f"{self.token}.token"
        path.write_text(self.token)
        address = self.cluster.address.model_copy(update={"credential": TokenFile(path=str(path))})

        def none(_: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("nobody is there")

        way = httpx.MockTransport(none) if self.away else httpx.ASGITransport(self.cluster.app)
        return ControllerClient(address, way, login)


@dataclass
class MemoryEnvironments:
    """Environments by branch, on the platform that the stacks are on."""

    stacks: MemoryStacks
    records: dict[str, EnvironmentRecord] = field(default_factory=dict)
    protected: bool = False
    fails: bool = False

    def make(self, branch: str, made: float | None = None) -> EnvironmentRecord:
        now = time.time() if made is None else made
        said = {"template": "preview", "platform": "tests", "made": now, "used": now, "idle_seconds": 60.0}
        record = EnvironmentRecord(name=environment_name(branch), branch=branch, workloads=("flights",), **said)
        self.records[branch] = record
        return record

    def find(self, branch: str) -> EnvironmentRecord | None:
        return self.records.get(branch)

    def client(self, record: EnvironmentRecord, login: str) -> ControllerClient:
        return self.stacks.client(record.platform, login)

    def keep_until(self, record: EnvironmentRecord, moment: float) -> EnvironmentRecord:
        self.records[record.branch] = record.model_copy(update={"kept_until": max(record.kept_until, moment)})
        return self.records[record.branch]

    def down(self, record: EnvironmentRecord) -> None:
        if self.protected:
            raise ProtectedError(f"{record.name} is protected")
        if self.fails:
            raise RetryableError("the state does not answer")
        del self.records[record.branch]


class Story(World):
    """A controller that knows people, a pull request, and who comments."""

    def __init__(self, cluster: FakeCluster, client: ControllerClient) -> None:
        super().__init__(cluster, client)
        self.forge, self.stacks = MemoryForge(), MemoryStacks(cluster)
        self.environments = MemoryEnvironments(self.stacks)

    async def says(self, author: str, text: str, at: float | None = None) -> Outcome:
        return await self.again(self.forge.add_comment(7, text, author, at).id)

    async def again(self, comment: str, kind: str = "github") -> Outcome:
        return await answer(self.forge, kind, 7, comment, self.stacks, self.environments)

    async def waiting(self, step: int) -> None:
        await self.until(lambda found: bool(r := found.rollout) and r.phase is Phase.WAITING and r.step == step)

    async def done(self) -> list[tuple[str, str, str]]:
        await self.cluster.ledger.flush()
        entries = await self.client.audit(50)
        return [
            (each.by, each.via, each.action)
            for each in entries
            if each.action.split(".")[1] in ("approve", "rollback", "abort", "extend", "down")
        ]

    @property
    def answers(self) -> list[str]:
        return [each.text for each in self.forge.kept.values() if each.author == "bot"]


@pytest.fixture
async def story(tmp_path):
    cluster = FakeCluster(tmp_path)
    async with cluster.running() as client:
        await bring(client, desired(1))
        await client.grant(POLICY)
        yield Story(cluster, client)


async def test_a_comment_of_who_may_approves_one_step_in_their_name_and_is_answered_once(story):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    outcome = await story.says("ada-l", "/approve flights\nthe slices are good\n")
    assert outcome.standing is Standing.DONE and "step 1 of rollout 2" in outcome.told and "ada" in outcome.told
    await story.waiting(1)
    assert (await story.again("1")).standing is Standing.ANSWERED, "a webhook that is delivered twice"
    [told] = story.answers
    assert told.startswith("<!-- heliostat: the answer to the command in comment 1; done -->\n`flights` in `production`")
    assert await story.done() == [("ada", "ci", "rollout.approve")]
    [entry] = [each for each in await story.client.audit(50) if each.action == "rollout.approve"]
    assert entry.reason == "the slices are good https://forge/c/1" and entry.known


async def test_a_job_that_is_cut_off_before_it_answered_approves_no_second_step(story):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    comment = story.forge.add_comment(7, "/approve", "Ada-L", time.time() - 0.5).id
    story.forge.edits_to_fail = 1
    with pytest.raises(RetryableError):
        await story.again(comment)
    await story.waiting(1)
    story.forge.kept[comment] = replace(story.forge.kept[comment], at=time.time() - 5)
    outcome = await story.again(comment)
    assert outcome.standing is Standing.REFUSED and "has changed since that was written" in outcome.told
    assert len(story.answers) == 1 and len(await story.done()) == 1
    assert (await story.client.read("flights")).rollout.phase is Phase.WAITING


@pytest.mark.parametrize(
    ("author", "text"),
    [
        ("mallory", "github:mallory is nobody's login"),
        ("dependabot[bot]", "nobody's login"),
        ("bob", "bob has viewer"),
        ("eve", "no application flights that you may see; you may see: none"),
    ],
)
async def test_a_comment_of_who_may_not_is_answered_and_does_nothing(story, author, text):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    outcome = await story.says(author, "/approve flights in production")
    assert outcome.standing is Standing.REFUSED and text in outcome.told.replace("\\", "")
    assert len(story.answers) == 1 and await story.done() == []


async def test_a_login_is_one_of_the_forge_that_it_is_said_of(story):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    comment = story.forge.add_comment(7, "/approve", "ada-l").id
    assert "gitea:ada-l is nobody's login" in (await story.again(comment, "gitea")).told


async def test_what_is_no_command_edited_deleted_or_of_a_fork_does_nothing(story):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    for text in ("looks good", "I would /approve it", "/approved", "", "> /approve"):
        assert (await story.says("ada-l", text)).standing is Standing.NOTHING
    assert (await story.again("99")).standing is Standing.NOTHING and story.answers == []
    edited = story.forge.add_comment(7, "/approve", "ada-l").id
    story.forge.kept[edited] = replace(story.forge.kept[edited], edited=True)
    assert "was edited" in (await story.again(edited)).told
    assert "write `/approve APPLICATION in STACK`" in (await story.says("ada-l", "/approve it for me")).told.replace("W", "w")
    assert "not for staging" in (await story.says("ada-l", "/approve flights in staging")).told
    assert "there is no application taxis" in (await story.says("ada-l", "/approve taxis")).told
    story.forge.pull = replace(story.forge.pull, from_fork=True)
    assert "from a fork" in (await story.says("ada-l", "/approve")).told
    assert await story.done() == []


async def test_a_rollback_turns_back_what_is_on_its_way_and_twice_goes_back_no_further(story):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    outcome = await story.says("ada-l", "/rollback\nthe p99 is bad")
    assert outcome.standing is Standing.DONE and "is rolled back to" in outcome.told
    ended = await story.phase(Phase.FAILED)
    late = story.forge.add_comment(7, "/rollback", "ada-l", ended.rollout.ended_at - 2).id
    assert "has changed since" in (await story.again(late)).told
    assert await story.done() == [("ada", "ci", "rollout.abort")]


async def test_a_rollback_goes_back_to_what_served_before_and_twice_not_back_again(story):
    await story.declare(2, BlueGreen(retention_seconds=600))
    before = await story.phase(Phase.RETAINING)
    outcome = await story.says("ada-l", "/heliostat rollback flights in production")
    assert outcome.standing is Standing.DONE and "it goes back from 2-fine to 1-fine" in outcome.told
    await story.until(lambda found: found.serving is not None and found.serving.label == "1-fine")
    late = story.forge.add_comment(7, "/rollback", "ada-l", before.rollout.started_at - 2).id
    assert "has changed since" in (await story.again(late)).told
    assert await story.done() == [("ada", "ci", "application.rollback")]


async def test_an_answer_that_somebody_else_wrote_holds_up_no_command_and_is_not_ours_to_edit(story):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    comment = story.forge.add_comment(7, "/approve", "ada-l").id
    for state in ("done", "begun"):
        story.forge.add_comment(7, f"<!-- heliostat: the answer to the command in comment {comment}; {state} -->", "mallory")
    assert (await story.again(comment)).standing is Standing.DONE
    assert len(story.answers) == 1 and len(await story.done()) == 1
    assert all(each.text.endswith("-->") for each in story.forge.kept.values() if each.author == "mallory")


async def test_a_controller_that_is_away_is_asked_again_by_the_next_job_in_the_same_answer(story):
    await story.declare(2, WAITS_TWICE)
    await story.waiting(0)
    story.stacks.away = True
    assert (await story.says("ada-l", "/approve")).standing is Standing.FAILED
    story.stacks.away = False
    assert (await story.again("1")).standing is Standing.DONE
    assert len(story.answers) == 1 and len(await story.done()) == 1


async def test_words_are_passed_on_by_who_may_and_for_no_more_than_words(story):
    async with story.stacks.client("production", "github:root") as relayed:
        assert (await relayed.whoami()).name == "root"
        for call in (relayed.grant(None), relayed.delete("flights"), relayed.audit(1)):
            with pytest.raises(ForbiddenError, match="root may not"):
                await call
    story.stacks.token = "ada"
    assert "ada may not pass on" in (await story.says("ada-l", "/approve")).told
    async with story.cluster.client() as client:
        client._client.headers["x-heliostat-on-behalf-of"] = "github:root"
        with pytest.raises(ForbiddenError, match="the stack's own token may not pass on"):
            await client.approve("flights", ADA)


def test_a_login_is_one_person_s():
    with pytest.raises(ValueError, match="two people have the login github:ada"):
        AccessPolicy(people={"a": person("a", Role.VIEWER, github="ada"), "b": person("b", Role.VIEWER, github="ADA")})


# The environment of the pull request's branch

DAY = 86_400.0


async def test_a_comment_of_who_may_has_the_branch_s_environment_stay_and_twice_no_longer(story):
    record = story.environments.make("promote")
    outcome = await story.says("ada-l", "/extend for 7d\nthe demo is on Friday")
    written = story.forge.kept["1"].at
    assert outcome.standing is Standing.DONE and record.name in outcome.told and "by the word of ada" in outcome.told
    assert story.environments.records["promote"].kept_until == written + 7 * DAY
    # The job is run again as if it had been cut off before its answer.
    story.forge.kept = {"1": story.forge.kept["1"]}
    await story.again("1")
    assert story.environments.records["promote"].kept_until == written + 7 * DAY
    assert await story.done() == [("ada", "ci", "environment.extend")] * 2
    entry = next(each for each in await story.client.audit(50) if each.action == "environment.extend")
    assert (entry.subject, entry.after) == (record.name, {"until": written + 7 * DAY})
    assert entry.reason == "the demo is on Friday https://forge/c/1"


async def test_a_comment_takes_the_environment_down_and_one_that_is_protected_stays(story):
    story.environments.make("promote")
    story.environments.protected = True
    assert (await story.says("root", "/down")).standing is Standing.REFUSED and story.environments.records
    story.environments.protected, story.environments.fails = False, True
    failed = await story.says("root", "/down")
    assert failed.standing is Standing.FAILED and "Run the job again" in failed.told
    story.environments.fails = False
    assert (await story.again("3")).standing is Standing.DONE and story.environments.records == {}
    assert "has no environment" in (await story.says("root", "/extend")).told


@pytest.mark.parametrize(
    ("author", "text"),
    [
        ("mallory", "nobody's login"),
        ("bob", "bob may not keep environments"),
        ("eve", "eve may not keep environments flights"),
    ],
)
async def test_a_comment_of_who_may_not_leaves_the_environment_alone(story, author, text):
    before = story.environments.make("promote")
    for command in ("/extend for 30d", "/down"):
        outcome = await story.says(author, command)
        assert outcome.standing is Standing.REFUSED and text in outcome.told.replace("\\", "")
    empty = before.model_copy(update={"workloads": ()})
    story.environments.records["promote"] = empty
    if author != "eve":
        assert (await story.says(author, "/down")).standing is Standing.REFUSED, "also of one with nothing in it yet"
    assert story.environments.records == {"promote": empty} and await story.done() == []


async def test_a_word_is_not_for_an_environment_that_was_made_later_nor_one_that_goes(story):
    story.environments.make("promote")
    late = story.forge.add_comment(7, "/down", "ada-l", time.time() - 60).id
    assert "made anew since" in (await story.again(late)).told
    record = story.environments.make("promote", made=1.0)
    story.environments.records["promote"] = record.model_copy(update={"leaving": True})
    assert "is being taken down" in (await story.says("ada-l", "/extend")).told
    story.forge.pull = replace(story.forge.pull, from_fork=True)
    assert "from a fork" in (await story.says("ada-l", "/down")).told
    assert "promote" in story.environments.records and await story.done() == []
