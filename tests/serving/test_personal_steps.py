"""Personal fields and steps behind the model: what a step sees of a person, nothing that is kept or told has in clear."""

from __future__ import annotations

import json
import logging
import time
from urllib.parse import quote_plus

import pyarrow.parquet as pq
import pytest
from personal_fakes import CLEAR, EMAIL, NAME, ROW, Income, arguments, contract, key, opened
from serving_fakes import seal_here

from heliostat.ml.postprocessing import Changed
from heliostat.serving.lookup import opening
from heliostat.serving.lookup.application import LookupApplication
from heliostat.serving.lookup.table import LookupTable
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.serving.queue.__main__ import _answer
from heliostat.serving.queue.api import TaskApplication
from heliostat.serving.queue.consumer import Consumer, Work
from heliostat.serving.rest.exchange import Request
from heliostat.spec.batch import Lookup
from heliostat.spec.personal import ConsentByField, ConsentByHeader, Privacy
from heliostat.spec.postprocessing import OnError, PostprocessingStep
from heliostat.spec.predictions import Current, Result, ResultPart, current_key, table_key
from heliostat.spec.review import Review, ReviewProbability
from heliostat.spec.task_queue import TaskQueue
from heliostat.systems import databases
from heliostat.systems.brokers import open_broker
from heliostat.systems.file_digests import sha256_of
from heliostat.systems.objects import open_store
from heliostat.systems.personal_keys import MASK, TOKEN, Keyring


def halve(rows, answers, given):
    """Greets the person by another text, and says for what reason."""
    changed = [answer.model_copy(update={"score": answer.score / 2, "greeting": f"Hello {NAME}"}) for answer in answers]
    return [Changed(answer, "too-high") for answer in changed]


def tell(rows, answers, given):
    """Has the person in its reason."""
    slug = EMAIL.replace("@", "-").replace(".", "-")
    return [Changed(answer.model_copy(update={"score": 1.0}), f"of-{slug}") for answer in answers]


def quote(rows, answers, given):
    """Quotes what it was given, and what it answers."""
    raise KeyError(f"{rows[0].name} <{rows[0].email}> in {rows[0].home.street} was told {answers[0].greeting}")


def quote_the_poor(rows, answers, given):
    """Fails so for an income of 1."""
    return quote(rows, answers, given) if rows[0].income == 1.0 else answers


def refuse(rows, answers, given):
    """Has the person in what is said of the step itself."""
    return [Changed(answer, EMAIL) for answer in answers]


def refuse_at_length(rows, answers, given):
    """The same, so far behind that a text that is cut has a part of it."""
    return [Changed(answer, f"{'x' * 70} {EMAIL}") for answer in answers]


def misread(rows, answers, given):
    """Gives pydantic what does not fit; it quotes the beginning and the end of its input."""
    return [type(answers[0]).model_validate({"name": f"{NAME} of {rows[0].home.street} and elsewhere", "score": []})]


def step(function, **changes):
    return PostprocessingStep(name="halve", function=f"test_personal_steps:{function}", **changes)


@pytest.fixture
def privacy(tmp_path):
    return Privacy(keys=(key(tmp_path, "k1"),))


def ask(app, body, path="/predict", method="POST", **headers):
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    reply = app.reply(Request(method, path, b"", given, json.dumps(body).encode()))
    return reply() if callable(reply) else reply


def assert_nowhere(*texts):
    for text in texts:
        for clear in CLEAR:
            assert clear.lower() not in text.lower(), f"{clear!r} is in {text}"


def logged(folder):
    rows = [
        row
        for path in sorted((folder / "objects" / "predictions").rglob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    return rows, json.dumps(rows, default=str, ensure_ascii=False)


def test_what_the_model_answered_before_the_steps_is_logged_as_personal_as_the_answer(tmp_path, privacy):
    app = opened(tmp_path, privacy, postprocessing=(step("halve"),))
    answer = json.loads(ask(app, ROW).body)
    assert answer == {"score": 25.0, "greeting": f"Hello {NAME}"}, "the client gets all of it"
    told = ask(app, None, "/-/tap", "GET").body.decode()
    app.close()
    [row], text = logged(tmp_path)
    assert_nowhere(text, told)
    assert (row["prediction_score"], row["model_prediction_score"]) == (25.0, 50.0)
    assert (row["prediction_greeting"], row["model_prediction_greeting"]) == (MASK, MASK)
    assert [each["reason"] for each in row["changes"]] == ["too-high"]


def test_a_reason_with_somebody_in_it_is_neither_logged_nor_counted(tmp_path, privacy):
    app = opened(tmp_path, privacy, postprocessing=(step("tell"),))
    assert ask(app, ROW).status == 200
    counted = ask(app, None, "/-/postprocessing", "GET").body.decode()
    app.close()
    [row], text = logged(tmp_path)
    assert [each["reason"] for each in row["changes"]] == ["personal"]
    assert '"personal"' in counted and "lovelace" not in counted and "lovelace" not in text


@pytest.mark.parametrize("consent", [ConsentByHeader(header="x-consent", values=("yes",)), ConsentByField(field="agreed")])
def test_without_consent_neither_answer_is_kept_and_steps_are_counted_all_the_same(tmp_path, consent):
    privacy = Privacy(keys=(key(tmp_path, "k1"),), consent=consent)
    app = opened(tmp_path, privacy, postprocessing=(step("halve"),))
    refused = ask(app, {**ROW, "agreed": False})
    assert json.loads(refused.body)["score"] == 25.0 and not any(name == b"x-request-id" for name, _ in refused.fields)
    assert ask(app, {**ROW, "income": 80_000.0}, x_consent="yes").status == 200
    [seen] = [
        each for each in json.loads(ask(app, None, "/-/postprocessing", "GET").body)["counts"] if each["outcome"] == "seen"
    ]
    app.close()
    [row], _ = logged(tmp_path)
    assert (row["model_prediction_score"], seen["answers"]) == (80.0, 2)


@pytest.mark.parametrize("function", ["quote", "refuse", "refuse_at_length", "misread"])
@pytest.mark.parametrize("passes", [True, False])
def test_the_error_of_a_step_names_the_step_and_nobody(tmp_path, privacy, caplog, function, passes):
    on_error = OnError.PASS if passes else OnError.FAIL
    app = opened(
        tmp_path,
        privacy,
        postprocessing=(step("halve"), step(function, on_error=on_error).model_copy(update={"name": "other"})),
    )
    with caplog.at_level(logging.WARNING, "ray.serve"):
        answer = ask(app, ROW)
    told = ask(app, None, "/-/tap", "GET").body.decode() + ask(app, None, "/-/postprocessing", "GET").body.decode()
    app.close()
    assert answer.status == (200 if passes else 500)
    assert "the post-processing step other" in caplog.text
    assert "<personal>" in caplog.text or function == "refuse_at_length"
    assert all(cut not in caplog.text for cut in ("Augusta", "ada.l", "St James")), "not even in part"
    assert_nowhere(caplog.text, told, logged(tmp_path)[1])
    if not passes:
        assert "the post-processing step other" in answer.body.decode()
        assert_nowhere(answer.body.decode())


def test_who_reviews_sees_what_the_client_was_answered_and_nobody_in_it(tmp_path, privacy):
    answer = ReviewProbability(field="score")
    app = opened(tmp_path, privacy, postprocessing=(step("halve"),), review=Review(answer=answer, random_share=1.0))
    assert ask(app, {**ROW, "income": 1_000.0}).status == 200
    app.close()
    [path] = (tmp_path / "objects" / "reviews" / "loans" / "items").iterdir()
    item = json.loads(path.read_text())
    assert item["prediction"] == {"score": 0.5, "greeting": MASK}, "the model said 1.0"
    assert TOKEN.match(item["inputs"]["email"])
    assert_nowhere(path.read_text())


async def test_a_task_is_answered_behind_the_steps_sealed_and_its_error_names_the_step_and_nobody(tmp_path, privacy):
    queue, steps = TaskQueue(max_attempts=1), (step("halve"), step("quote_the_poor").model_copy(update={"name": "other"}))
    app = opened(tmp_path, privacy, queue=queue, postprocessing=steps)
    given = arguments(tmp_path, privacy, queue=queue, postprocessing=steps)
    broker = open_broker(queue, "loans", given.version.store)
    tasks = TaskApplication(app, app.plane, broker, given)

    async def submit(body):
        return json.loads((await ask(tasks, body, "/tasks")).body)["id"]

    good, bad = await submit(ROW), await submit({**ROW, "income": 1.0})
    consumer = Consumer(broker, Work(queue, "3-abc", "w", lambda lease: _answer(app.plane, lease)), lambda: ("3-abc",))
    while consumer._batch():
        pass
    result = await ask(tasks, None, f"/tasks/{good}/result", "GET")
    assert json.loads(result.body) == {"score": 25.0, "greeting": f"Hello {NAME}"}
    assert NAME.encode() not in broker.read(good).answer
    dead = broker.read(bad)
    assert "the post-processing step other failed on this request (KeyError)" in dead.error
    assert_nowhere(dead.error)
    tasks.close()
    [row], text = logged(tmp_path)
    assert row["model_prediction_score"] == 50.0
    assert_nowhere(text)


def test_a_lookup_by_a_hashed_key_is_answered_behind_the_steps_and_kept_treated(tmp_path, privacy, monkeypatch):
    steps, settings = (step("halve"),), Lookup.model_validate({"batch": "nightly", "refreshSeconds": 3600})
    given = arguments(tmp_path, privacy, postprocessing=steps, lookup=settings)
    store, hashed = open_store(given.version.store), Keyring.of(privacy.keys).hashed(EMAIL)
    path = tmp_path / "table.sqlite"
    databases.write_sqlite(path, ("email",), ["prediction"], [[[hashed], [90.0]]])
    store.put_file(table_key("nightly", "1" * 32), path)
    found = Result(
        name="nightly", application="loans", run="1" * 32, model_uri=given.version.model_uri, predictor="0" * 64,
        data="1" * 64, rows=1, parts=(ResultPart(key="batches/x", source="0" * 64, rows=1),), key=("email",),
        table=table_key("nightly", "1" * 32), table_sha256=sha256_of(path),
    )  # fmt: skip
    current = Current(result=found, at=time.time())
    store.put(current_key("nightly", given.version.model_uri), current.model_dump_json().encode())
    monkeypatch.setattr(opening, "loaded", lambda _: (contract(), Income()))
    monkeypatch.setattr(opening, "LookupTable", lambda *args: LookupTable(*args, tmp_path / "node"))
    monkeypatch.setattr(PredictionLog.__init__, "__kwdefaults__", {**PredictionLog.__init__.__kwdefaults__, "seal": seal_here})
    plane, predictor, table = opening.open_looking_up(given, settings)
    app = LookupApplication(plane, "/loans", predictor, table, settings)
    by_row = ask(app, ROW)
    assert json.loads(by_row.body) == {"score": 45.0, "greeting": f"Hello {NAME}"}
    by_key = app.reply(Request("GET", "/lookup", f"email={quote_plus(EMAIL)}".encode(), {}, b""))
    assert json.loads(by_key.body)["answer"]["score"] == 45.0, by_key.body
    app.close()
    [row], text = logged(tmp_path)
    assert row["model_prediction_score"] == 90.0
    assert_nowhere(text)
