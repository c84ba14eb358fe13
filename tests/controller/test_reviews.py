"""Reviews: who labels what, what is ground truth by it, and what may be said of all answers."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter

import pytest
from fake_cluster import FakeCluster
from rollouts_in_memory import World, quick
from sklearn.metrics import cohen_kappa_score
from test_controller import bring, desired
from test_permissions import as_, person

from heliostat.analysis.ground_truth import GroundTruth
from heliostat.controller.store import Store
from heliostat.ml.label_files import LabelForm, read
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.erasure import ErasureAnnouncement, ErasureProof
from heliostat.spec.review import (
    Review,
    ReviewClass,
    ReviewedItem,
    ReviewItem,
    ReviewLabel,
    ReviewProbability,
    Selection,
    choose,
    kappa,
    report,
    settled,
    truth_key,
    truth_of,
)
from heliostat.spec.roles import AccessPolicy, Role
from heliostat.spec.rollouts import Declaration
from heliostat.systems.controller_api import ForbiddenError
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import Directory

__all__ = ["quick"]
REVIEW = Review(answer=ReviewProbability(field="late", labels=("on time", "late")), below=0.7, random_share=0.1, reviewers=2)


ASKED = time.time() - 60


def item(number, confidence=0.55, **changes):
    given = {
        "id": f"{number:032x}", "request_id": f"r-{number}", "row": 0, "at": ASKED, "version": "1-a",
        "inputs": {"carrier": "UA", "who": f"hmac:k:{number}"}, "prediction": {"late": confidence}, "answer": "late",
        "confidence": confidence, "selection": Selection.UNSURE, "probability": 1.0,
    }  # fmt: skip
    return ReviewItem(**{**given, **changes})


def labelled(number, *labels, **changes):
    said = tuple(ReviewLabel(reviewer=f"p{place}", label=label, at=1.0) for place, label in enumerate(labels))
    return ReviewedItem(item=item(number, **changes), labels=said)


@pytest.fixture
async def world(tmp_path):
    cluster = FakeCluster(tmp_path)
    objects = Directory(tmp_path / "objects")
    lines = b"".join(item(number).model_dump_json().encode() + b"\n" for number in range(3))
    objects.put("reviews/flights/items/a.jsonl", lines + b'{"torn\n')
    async with cluster.running() as client:
        declared = desired(1)
        version = declared.version.model_copy(update={"review": REVIEW})
        await bring(client, declared.model_copy(update={"version": version}))
        policy = {name: person(f"{name}'s", Role.REVIEWER) for name in ("ada", "bob", "eve")}
        await client.grant(AccessPolicy(people={**policy, "guest": person("guest's", Role.VIEWER)}))
        yield World(cluster, client)


def truths(world):
    folder = world.cluster.directory / "objects" / "ground-truth" / "flights" / "reviews"
    return {path.stem: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


async def call(world, who, method, path, body=None):
    async with as_(world, f"{who}'s") as client:
        return await client._call(method, f"/v1/applications/flights/reviews{path}", body)


async def test_two_people_label_an_item_and_it_is_ground_truth_with_its_weight(world):
    first = await call(world, "ada", "GET", "/next")
    assert first["labels"] == ["on time", "late"] and first["inputs"]["carrier"] == "UA" and first["waiting"] == 3
    assert "prediction" not in first and "confidence" not in first and "selection" not in first, "nobody is told beforehand"
    told = await call(world, "ada", "PUT", f"/{first['id']}", {"label": "late"})
    assert (told["answer"], told["settled"], told["others"]) == ("late", None, [])
    assert truths(world) == {}
    assert (await call(world, "bob", "GET", "/next"))["id"] == first["id"], "what somebody began is settled first"
    told = await call(world, "bob", "PUT", f"/{first['id']}", {"label": "late"})
    assert (told["settled"], told["others"][0]["reviewer"]) == ("late", "ada")
    [line] = truths(world).values()
    truth = json.loads(line)
    assert (truth["request_id"], truth["label"], truth["weight"], truth["reviewers"]) == ("r-0", 1, 1.0, ["ada", "bob"])
    assert read("x.jsonl", line).labels == {("r-0", 0): 1.0}, "it is read as any other label"
    assert (await call(world, "eve", "GET", "/next"))["id"] != first["id"], "what is settled waits for nobody"
    found = await world.client.reviews("flights")
    assert (found.waiting, found.settled, found.disputed) == (2, 1, 0)
    assert found.agreements[0].reviewers == ("ada", "bob")


@pytest.mark.parametrize(
    ("answer", "said", "form", "label"),
    [
        (ReviewProbability(field="late", labels=("on time", "late")), "on time", LabelForm(), 0.0),
        (ReviewProbability(field="late", labels=("on time", "late")), "late", LabelForm(), 1.0),
        (
            ReviewClass(field="kind", confidence="sure", labels=("cat", "dog")),
            "dog",
            LabelForm(classes=("bird", "cat", "dog")),
            2.0,
        ),
    ],
)
def test_what_people_agree_on_is_a_label_as_others_write_it(answer, said, form, label, tmp_path):
    found = item(7, row=3)
    line = json.dumps(truth_of(Review(answer=answer), found, said, labelled(7, said).labels)).encode() + b"\n"
    key = truth_key("flights", found.id)
    assert read(key, line, form).labels == {("r-7", 3): label} and not read(key, line, form).problem
    Directory(tmp_path).put(key, line)
    truth = GroundTruth(StoreAddress(uri=f"file://{tmp_path}"), "flights", form=form)
    truth.refresh()
    assert truth.labels == {("r-7", 3): label} and not truth.mistakes


async def test_two_minds_need_a_third_and_what_is_undone_is_no_truth_any_more(world):
    name = item(0).id
    for who, label in (("ada", "late"), ("bob", "on time")):
        await call(world, who, "PUT", f"/{name}", {"label": label})
    assert truths(world) == {} and (await world.client.reviews("flights")).disputed == 1
    assert (await call(world, "eve", "GET", "/next"))["id"] == name
    await call(world, "eve", "PUT", f"/{name}", {"label": "on time"})
    assert json.loads(truths(world)[name])["label"] == 0
    async with as_(world, "eve's") as eve:
        await eve._client.delete(f"/v1/applications/flights/reviews/{name}")
    assert truths(world) == {}
    await call(world, "bob", "PUT", f"/{name}", {"label": "late"})
    assert json.loads(truths(world)[name])["label"] == 1, "who says something else is heard anew"


async def test_what_is_skipped_comes_last_and_the_end_is_told(world):
    skip = ",".join(item(number).id for number in range(2))
    assert (await call(world, "ada", "GET", f"/next?skip={skip}"))["id"] == item(2).id
    assert await call(world, "ada", "GET", f"/next?skip={skip},{item(2).id}") is None


async def test_who_may_not_a_label_that_is_none_and_an_item_that_is_none_are_refused(world):
    with pytest.raises(ForbiddenError, match="may not review"):
        await call(world, "guest", "GET", "/next")
    with pytest.raises(PermanentError, match="there are on time, late"):
        await call(world, "ada", "PUT", f"/{item(0).id}", {"label": "maybe"})
    with pytest.raises(PermanentError, match="to be reviewed"):
        await call(world, "ada", "PUT", f"/{'f' * 32}", {"label": "late"})


async def test_items_of_a_deleted_person_go_and_do_not_come_again(world):
    await world.client.reviews("flights")
    announced = ErasureAnnouncement(id="e" * 32, application="flights", field="who", tokens=("hmac:k:1",), at=ASKED + 10)
    await world.client.begin_erasure(announced)
    assert (await world.client.reviews("flights")).waiting == 2
    objects = Directory(world.cluster.directory / "objects")
    objects.put(f"governance/erasures/flights/{announced.id}.json", announced.model_dump_json().encode())
    again, later = item(1, at=ASKED + 9), item(7, at=ASKED + 11, inputs={"who": "hmac:k:1"})
    objects.put("reviews/flights/items/b.jsonl", b"\n".join(each.model_dump_json().encode() for each in (again, later)))
    world.cluster.start()
    async with world.cluster.client() as client:
        assert (await client.reviews("flights")).waiting == 3, "who comes again later is reviewed again"


async def test_an_item_that_is_read_and_labelled_while_its_person_is_deleted_goes_with_the_end_of_it(world):
    announced = ErasureAnnouncement(id="e" * 32, application="flights", field="who", tokens=("hmac:k:1",), at=ASKED + 10)
    await world.client.begin_erasure(announced)
    assert (await world.client.reviews("flights")).waiting == 3, "the object store does not say it yet"
    for who in ("ada", "bob"):
        await call(world, who, "PUT", f"/{item(1).id}", {"label": "late"})
    assert item(1).id in truths(world)
    objects = Directory(world.cluster.directory / "objects")
    objects.put(f"governance/erasures/flights/{announced.id}.json", announced.model_dump_json().encode())
    proof = ErasureProof(
        id=announced.id,
        application="flights",
        field="who",
        began=1.0,
        ended=2.0,
        searched={},
        left=0,
        objects=(),
        snapshots=(),
    )
    await world.client.end_erasure(proof)
    assert truths(world) == {}
    told = await world.client.reviews("flights")
    assert (told.waiting, told.settled) == (2, 0)


async def test_the_page_needs_no_token_and_takes_nothing_from_elsewhere(world):
    async with world.cluster.raw() as raw:
        answer = await raw.get("/review/flights")
        assert answer.status_code == 200 and "default-src 'none'" in answer.headers["content-security-policy"]
        assert (await raw.get("/v1/applications/flights/reviews/next")).status_code == 401
    assert "http://" not in answer.text and "https://" not in answer.text and "innerHTML" not in answer.text


async def test_without_a_declared_queue_there_is_none(tmp_path):
    cluster = FakeCluster(tmp_path)
    async with cluster.running() as client:
        await bring(client, desired(1))
        with pytest.raises(PermanentError, match=r"declare serving\.review"):
            await client.reviews("flights")


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ({"late": 0.5}, ("late", 0.5, Selection.UNSURE, 0.5)), ({"late": 0.31}, ("on time", 0.69, Selection.UNSURE, 0.5)),
        ({"late": True}, None), ({"late": 2}, None), ({}, None), ([0.5], None),
    ],
)  # fmt: skip
def test_unsure_answers_are_all_chosen_and_what_is_no_probability_is_none(answer, chosen):
    found = choose(REVIEW, "r", 0, 1.0, "1-a", {}, answer, 0.5)
    assert (found and (found.answer, round(found.confidence, 6), found.selection, found.probability)) == chosen


def test_of_sure_answers_the_declared_share_is_chosen_and_the_same_again():
    asked = [choose(REVIEW, f"r-{number}", 0, 1.0, "1-a", {}, {"late": 0.9}, 1.0) for number in range(4000)]
    found = [each for each in asked if each is not None]
    assert 320 < len(found) < 480 and {each.probability for each in found} == {0.1}
    assert choose(REVIEW, found[0].request_id, 0, 1.0, "1-a", {}, {"late": 0.9}, 1.0) == found[0]
    never = REVIEW.model_copy(update={"random_share": 0.0})
    assert not any(choose(never, f"r-{number}", 0, 1.0, "", {}, {"late": 0.9}, 1.0) for number in range(500))


def test_a_class_with_its_own_confidence_is_chosen_by_that():
    classes = Review(answer=ReviewClass(field="digit", confidence="sure", labels=("7", "1")))
    assert choose(classes, "r", 0, 1.0, "", {}, {"digit": 7, "sure": 0.2}, 1.0).answer == "7"


def test_kappa_is_scikit_learn_s():
    random.seed(4)
    for _ in range(20):
        one = [random.choice("abc") for _ in range(40)]
        other = [each if random.random() < 0.6 else random.choice("abc") for each in one]
        assert kappa(list(zip(one, other, strict=True))) == pytest.approx(cohen_kappa_score(one, other))
    assert kappa([]) is None and kappa([("a", "a")] * 3) is None
    assert kappa([("a", "b"), ("b", "a")]) == -1


def test_weights_correct_for_what_was_chosen_more_often():
    """Of 10,000 answers 9,000 are sure and right in 95 %, 1,000 unsure and right in 55 %: right in 91 % of all."""
    random.seed(11)
    reviewed = []
    for number in range(10_000):
        sure = number % 10 != 0
        right, share = random.random() < (0.95 if sure else 0.55), 0.1 if sure else 1.0
        if random.random() >= share:
            continue
        why = Selection.RANDOM if sure else Selection.UNSURE
        reviewed.append(labelled(number, "late" if right else "on time", probability=share, selection=why))
    found = report("flights", reviewed, 1)
    assert found.weighted.share == pytest.approx(0.91, abs=0.02)
    assert found.weighted.low < 0.91 < found.weighted.high
    assert found.unweighted.share < 0.8, "all labels alike say something else"


def test_nothing_is_reckoned_of_nothing():
    found = report("flights", [labelled(1)], 1)
    assert (found.waiting, found.weighted.share, found.agreements) == (1, None, ())


@pytest.mark.parametrize(("labels", "truth"), [("", None), ("a", None), ("ab", None), ("aa", "a"), ("abb", "b")])
def test_a_label_is_settled_once_enough_people_agree(labels, truth):
    assert settled(labelled(1, *labels).labels, 2) == truth


async def test_of_two_words_on_an_item_at_once_the_store_has_the_newer_one(world, monkeypatch):
    delete = Directory.delete

    def slowly(self, key):
        time.sleep(0.3)
        delete(self, key)

    monkeypatch.setattr(Directory, "delete", slowly)
    name = item(0).id
    ada = asyncio.create_task(call(world, "ada", "PUT", f"/{name}", {"label": "late"}))
    await asyncio.sleep(0.1)
    told = await call(world, "bob", "PUT", f"/{name}", {"label": "late"})
    await ada
    assert told["settled"] == "late" and set(truths(world)) == {name}


async def test_what_the_store_did_not_take_is_kept_and_told_by_the_next_controller(world, monkeypatch):
    name = item(0).id
    await call(world, "ada", "PUT", f"/{name}", {"label": "late"})

    def away(self, key, *rest, **more):
        raise RetryableError("the store is away")

    monkeypatch.setattr(Directory, "put", away)
    told = await call(world, "bob", "PUT", f"/{name}", {"label": "late"})
    assert told["settled"] == "late" and truths(world) == {}, "what a person said is not lost by it"
    monkeypatch.undo()
    world.cluster.start()
    await world.cluster.ledger.flush()
    assert set(truths(world)) == {name}


async def test_without_its_store_what_was_read_is_labelled_all_the_same(world, monkeypatch):
    first = await call(world, "ada", "GET", "/next")

    def away(self, *given, **more):
        raise RetryableError("the store is away")

    for each in ("put", "get", "list", "delete"):
        monkeypatch.setattr(Directory, each, away)
    world.cluster.start()
    await call(world, "ada", "PUT", f"/{first['id']}", {"label": "late"})
    assert (await call(world, "bob", "GET", "/next"))["id"] == first["id"]
    assert (await call(world, "ada", "GET", "/next"))["id"] != first["id"]
    skip = ",".join(item(number).id for number in range(3))
    with pytest.raises(RetryableError, match="the store is away"):
        await call(world, "ada", "GET", f"/next?skip={skip}")


async def test_fewer_reviewers_settle_what_was_said_before_and_more_unsettle_it(world):
    name = item(0).id
    await call(world, "ada", "PUT", f"/{name}", {"label": "late"})
    for reviewers, settled_now in ((1, {name}), (2, set())):
        await declare_reviewers(world, reviewers)
        world.cluster.start()
        async with world.cluster.client() as client:
            assert (await client.reviews("flights")).settled == len(settled_now)
        assert set(truths(world)) == settled_now


async def test_labels_that_are_called_otherwise_now_leave_what_was_agreed_on(world):
    name, other = item(0).id, item(1).id
    for who in ("ada", "bob"):
        await call(world, who, "PUT", f"/{name}", {"label": "late"})
    await call(world, "ada", "PUT", f"/{other}", {"label": "late"})
    answer = ReviewProbability(field="late", labels=("punctual", "delayed"))
    await declare_reviewers(world, 1, answer=answer)
    world.cluster.start()
    async with world.cluster.client() as client:
        assert (await client.reviews("flights")).settled == 2
    assert set(truths(world)) == {name}
    await call(world, "eve", "PUT", f"/{other}", {"label": "delayed"})
    assert json.loads(truths(world)[other])["label"] == 1, "a word that nobody may say any more is none beside it"


async def declare_reviewers(world, reviewers, **more):
    declared = desired(1)
    review = REVIEW.model_copy(update={"reviewers": reviewers, **more})
    version = declared.version.model_copy(update={"review": review})
    await world.client.declare("flights", Declaration(desired=declared.model_copy(update={"version": version})))


def test_what_was_chosen_at_random_does_not_come_before_the_rest(tmp_path):
    """Ids decide what is chosen: by their own order, all that is random would be labelled first, and the weights be wrong."""
    table = Store(tmp_path).reviews
    answers = [0.5 if number % 10 == 0 else 0.9 for number in range(4_000)]
    found = [choose(REVIEW, f"r-{number}", 0, 1.0, "1-a", {}, {"late": each}, 1.0) for number, each in enumerate(answers)]
    table.add("flights", "a", [each for each in found if each is not None])
    total = Counter(each.selection for each in found if each is not None)
    handed = Counter()
    for _ in range(sum(total.values()) // 4):
        name = table.unlabelled("flights", "8" * 16, ())
        handed[table.item("flights", name).item.selection] += 1
        table.say("flights", name, ReviewLabel(reviewer="ada", label="late", at=1.0))
    for why, count in total.items():
        assert handed[why] / count == pytest.approx(0.25, abs=0.05), why
