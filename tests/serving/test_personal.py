"""Personal fields: the model gets them, and nothing that is written, told or kept has them in clear."""

from __future__ import annotations

import hmac
import json
import logging
import os
import time
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import pytest
from personal_fakes import CLEAR, EMAIL, EXAMPLE, NAME, POSTCODE, ROW, Decision, Home, arguments, contract, key, opened
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from heliostat.inspection.mistakes import _personal
from heliostat.ml.personal import hashed
from heliostat.serving.dataplane import Call
from heliostat.serving.personal import PersonalData, WithheldError
from heliostat.serving.prediction_log.columns import Columns, personal_names
from heliostat.serving.prediction_log.masking import Masking
from heliostat.serving.queue.__main__ import _answer
from heliostat.serving.queue.api import TaskApplication
from heliostat.serving.rest.exchange import Request
from heliostat.serving.tap import TapQuery
from heliostat.spec.inspection import InspectionTask
from heliostat.spec.personal import ConsentByField, ConsentByHeader, PersonalMark, Privacy, Treatment
from heliostat.spec.review import Review, ReviewProbability
from heliostat.spec.task_queue import TaskQueue
from heliostat.systems.brokers import open_broker
from heliostat.systems.errors import PermanentError
from heliostat.systems.personal_keys import MASK, TOKEN, Keyring, UnsealedError


@pytest.fixture
def privacy(tmp_path):
    return Privacy(keys=(key(tmp_path, "k1"),))


def ask(app, body, path="/predict", method="POST", **headers):
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return app.reply(Request(method, path, b"", given, sent))


def written(folder, besides=()):
    """The bytes of every file below a folder, Parquet's as text too."""
    found = {}
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.suffix != ".key" and path not in besides:
            found[path] = path.read_bytes()
            if path.suffix == ".parquet":
                found[path] += json.dumps(pq.read_table(path).to_pylist(), default=str, ensure_ascii=False).encode()
    return found


def assert_nowhere(folder):
    found = written(folder)
    assert found, "nothing was written, and the search says nothing"
    for path, content in found.items():
        for clear in CLEAR:
            for text in (clear, json.dumps(clear)[1:-1]):
                assert text.encode() not in content, f"{clear!r} is in {path}"


def test_names_of_what_is_personal_are_all_that_it_may_be_sent_or_kept_by():
    class Row(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        mail: Annotated[str, hashed(subject=True)] = Field(validation_alias=AliasChoices("email", "e-mail"))
        home: Home
        income: float

    assert personal_names(Row) == ("e-mail", "email", "home", "mail")
    assert personal_names(Decision) == ("greeting",)


def test_no_file_has_a_clear_value_whatever_is_sent_and_whatever_fails(tmp_path, privacy, caplog):
    caplog.set_level(logging.DEBUG)
    app = opened(tmp_path, privacy)
    answer = ask(app, ROW)
    assert (answer.status, json.loads(answer.body)["score"]) == (200, 50.0)
    assert json.loads(answer.body)["greeting"] == f"Dear {NAME}", "its client is told all of it"
    assert ask(app, {"rows": [ROW, {**ROW, "income": 1.0}]}).status == 200
    failed = ask(app, {**ROW, "income": 13})
    assert (failed.status, b"ValueError" in failed.body) == (500, True)
    assert ask(app, {**ROW, "emial": EMAIL}).status == 422
    assert ask(app, b'{"email":"' + EMAIL.encode()).status == 422
    told = app.reply(Request("GET", "/-/tap", b"", {}, b""))()
    app.close()
    (log,) = (tmp_path / "objects" / "predictions" / "loans").rglob("*.parquet")
    rows = pq.read_table(log).to_pylist()
    assert len(rows) == 3
    assert TOKEN.match(rows[0]["input_email"]) and rows[0]["input_email"] == rows[1]["input_email"]
    assert (rows[0]["input_postcode"], rows[0]["input_age"], rows[0]["input_name"]) == ("SW", 30, MASK)
    assert (rows[0]["input_income"], rows[0]["prediction_greeting"]) == (50_000.0, MASK)
    assert_nowhere(tmp_path)
    for clear in CLEAR:
        assert clear.encode() not in told.body
        assert clear not in caplog.text
    assert "no such person: <personal> <<personal>>, <personal>" in caplog.text, "the error is told without the person"
    assert "in predict" in caplog.text, "and where it came from"


def test_whenever_a_replica_is_killed_nothing_that_it_wrote_had_a_clear_value(tmp_path, privacy, monkeypatch):
    write, written = os.write, []
    monkeypatch.setattr(os, "write", lambda file, data: (written.append(bytes(data)), write(file, data))[1])
    app = opened(tmp_path, privacy)
    for income in range(200):
        assert ask(app, {"rows": [ROW, {**ROW, "income": income + 100.0}]}).status == 200
    app.close()
    lines = b"".join(written)
    assert lines.count(b"hmac:k1:") == 400, "all of it went this way"
    assert not [clear for clear in CLEAR if clear.encode() in lines or json.dumps(clear)[1:-1].encode() in lines]


def test_the_tap_is_treated_for_who_reads_it_and_again_for_the_next(tmp_path, privacy):
    app = opened(tmp_path, privacy)
    ask(app, ROW)
    first, again = (app.plane.tap.page(TapQuery()).requests for _ in range(2))
    assert first == again and TOKEN.match(json.loads(first[0].body)["email"])
    assert json.loads(first[0].answer)["greeting"] == MASK
    app.close()


def test_what_the_tap_tells_is_taken_again_by_the_contract_with_the_example_s_values(tmp_path, privacy):
    app = opened(tmp_path, privacy)
    ask(app, ROW)
    (page,) = app.plane.tap.page(TapQuery()).requests
    assert page.treated
    assert json.loads(page.body)["home"] == {"street": MASK, "rooms": 7}
    replayed = ask(app, page.body.encode("latin-1"), x_heliostat_replay="1")
    assert (replayed.status, json.loads(replayed.body)["score"]) == (200, 50.0), "two letters are no postcode of the contract"
    assert ask(app, page.body.encode("latin-1")).status == 422, "a client's own request is taken as it is"
    app.close()


def test_nothing_stays_nothing_and_what_no_column_is_for_goes():
    made = contract()
    masking = Masking(Columns.of(made.row, made.answer).input)
    personal = {name for name, value in masking.row(dict(EXAMPLE)).items() if value == MASK}
    assert personal and masking.row(dict.fromkeys(EXAMPLE)) == dict.fromkeys(EXAMPLE)
    assert masking.row({"e-mail": None, **dict.fromkeys(personal)}) == {"e-mail": MASK, **dict.fromkeys(personal)}
    assert masking.row([1]) == MASK, "no row at all"


def test_a_row_without_personal_fields_is_kept_as_it_came():
    from serving_fakes import contract as plain

    made = plain()
    data = PersonalData(made, Columns.of(made.row, made.answer), Privacy(), Keyring(()))
    body = b'{ "kind":"a" }'
    assert data.request(body) is body and Masking(Columns.of(made.row, made.answer).input).each([b"[1]"]) == [b"[1]"]
    assert data.completed(body) == b'{"kind":"a"}'
    error = ZeroDivisionError("13")
    assert data.withheld(error, body) is error


def test_without_consent_a_request_is_answered_not_kept_and_counted(tmp_path, privacy):
    given = privacy.model_copy(update={"consent": ConsentByHeader(header="x-may-log", values=("Yes",))})
    app = opened(tmp_path, given)
    silent = ask(app, ROW)
    assert (silent.status, b"x-request-id" in dict(silent.fields)) == (200, False)
    assert b"x-request-id" in dict(ask(app, ROW, x_may_log=" YES ").fields)
    assert ask(app, ROW, x_may_log="no").status == 200
    assert ask(app, {**ROW, "income": 13}).status == 500
    counted = app.reply(Request("GET", "/-/privacy", b"", {}, b""))()
    assert json.loads(counted.body) == {"asked": 4, "withoutConsent": 3}
    assert len(app.plane.tap.page(TapQuery()).requests) == 1
    assert ask(app, ROW, x_heliostat_replay="1").status == 200
    assert app.plane.kept.asked == 4, "a replay is no request of a person"
    app.close()
    (log,) = (tmp_path / "objects" / "predictions" / "loans").rglob("*.parquet")
    assert pq.read_table(log).num_rows == 1


def test_consent_by_a_field_needs_that_of_every_row(tmp_path, privacy):
    app = opened(tmp_path, privacy.model_copy(update={"consent": ConsentByField(field="agreed")}))
    no = {**ROW, "agreed": False}
    for body in (ROW, no, {"rows": [ROW, no]}, {"rows": [ROW, ROW]}, {**ROW, "age": "old"}):
        ask(app, body)
    assert (app.plane.kept.asked, app.plane.kept.without_consent) == (5, 3)
    assert len(app.plane.tap.page(TapQuery()).requests) == 2
    app.close()


async def test_what_waits_in_a_broker_is_sealed_and_its_error_tells_nobody(tmp_path, privacy):
    given = privacy.model_copy(update={"consent": ConsentByHeader()})
    queue = TaskQueue(max_attempts=1)
    app = opened(tmp_path, given, queue=queue)
    settings = arguments(tmp_path, given, queue=queue)
    broker = open_broker(queue, "loans", settings.version.store)
    tasks = TaskApplication(app, app.plane, broker, settings)

    async def submit(body, **headers):
        reply = ask(tasks, body, "/tasks", **{"idempotency_key": "1", **headers})
        found = await reply
        return found.status, json.loads(found.body)

    status, told = await submit(ROW, x_consent="yes")
    assert status == 202
    assert (await submit(ROW, x_consent="yes"))[1]["id"] == told["id"], "the same task, sealed alike"
    assert (await submit({**ROW, "age": 37}, x_consent="yes"))[0] == 409
    failing = (await submit({**ROW, "income": 13}, idempotency_key="2"))[1]
    silent = (await submit(ROW, idempotency_key="3"))[1]
    shown = await tasks.reply(Request("GET", f"/-/tasks/{told['id']}", b"", {}, b""))
    assert EMAIL.encode() not in shown.body
    assert_nowhere(tmp_path)
    from heliostat.serving.queue.consumer import Consumer, Work

    consumer = Consumer(broker, Work(queue, "3-abc", "w", lambda lease: _answer(app.plane, lease)), lambda: ("3-abc",))
    while consumer._batch():
        pass
    result = await tasks.reply(Request("GET", f"/tasks/{told['id']}/result", b"", {}, b""))
    assert json.loads(result.body) == {"score": 50.0, "greeting": f"Dear {NAME}"}
    dead = broker.read(failing["id"])
    assert "no such person: <personal>" in dead.error
    assert broker.read(silent["id"]).state == "succeeded"
    assert app.plane.kept.without_consent == 2, "consent comes along with a task"
    tasks.close()
    assert_nowhere(tmp_path)


async def test_a_task_that_was_sealed_with_the_key_before_is_opened_and_is_the_same_task(tmp_path):
    old, new = key(tmp_path, "old"), key(tmp_path, "new", "f" * 64)
    queue = TaskQueue()

    def application(*keys):
        privacy = Privacy(keys=keys)
        app = opened(tmp_path, privacy, queue=queue)
        settings = arguments(tmp_path, privacy, queue=queue)
        return TaskApplication(app, app.plane, open_broker(queue, "loans", settings.version.store), settings)

    before, after = application(old), application(new, old)
    first = await ask(before, ROW, "/tasks", idempotency_key="1")
    again = await ask(after, ROW, "/tasks", idempotency_key="1")
    assert (first.status, again.status) == (202, 202)
    (lease,) = after._broker.lease(("3-abc",), "w", 1, 15.0)
    assert b"score" in after._plane.personal.keys.unseal(_answer(after._plane, lease))[0]
    for each in (before, after):
        each.close()


def test_a_newer_key_makes_other_hashes_and_older_ones_are_still_found():
    old, both = Keyring([("old", b"a" * 32)]), Keyring([("new", b"b" * 32), ("old", b"a" * 32)])
    token = old.hashed(EMAIL)
    assert token.startswith("hmac:old:") and both.hashed(EMAIL).startswith("hmac:new:")
    assert token in both.tokens(EMAIL) and len(both.tokens(EMAIL)) == 2
    assert both.unseal(old.seal(b"x", True)) == (b"x", True)
    assert both.treatment(PersonalMark(treatment=Treatment.HASHED))(token) == token, "what is hashed is not hashed again"
    with pytest.raises(UnsealedError, match="was sealed with the key 'old'"):
        Keyring([("new", b"b" * 32)]).unseal(old.seal(b"x", False))
    damaged = bytearray(old.seal(b"x", False))
    damaged[-1] ^= 1
    with pytest.raises(UnsealedError, match="was changed"):
        both.unseal(bytes(damaged))
    assert Keyring(()).unseal(b'{"a":1}') == (b'{"a":1}', True), "what an earlier release left is as it was"


@pytest.mark.parametrize("length", [16, 63, 64, 65, 200])
def test_a_hash_is_hmac_sha_256_as_the_standard_library_makes_it_and_earlier_releases_wrote_it(length):
    secret = bytes(range(33, 33 + 64))[:length].ljust(length, b"x")
    ring = Keyring([("k1", secret)])
    for value, text in ((EMAIL, EMAIL), ("", ""), ("é" * 100, "é" * 100), (17, "17"), (1.5, "1.5"), ([1, "a"], '[1,"a"]')):
        assert ring.hashed(value) == f"hmac:k1:{hmac.digest(secret, text.encode(), 'sha256').hex()[:32]}"


def test_hashes_that_are_remembered_are_those_of_their_own_values():
    ring = Keyring([("k1", b"a" * 32)])
    change = ring.treatment(PersonalMark(treatment=Treatment.HASHED))
    values = [*map(str, range(3000)), "long" * 100, "hmac:", "hmac:k1:none", 1, 1.0, True, "1", "True"]
    assert [change(value) for value in [*values, *values]] == [ring.hashed(value) for value in values] * 2
    assert len({change(value) for value in (1, 1.0, True)}) == 3


@pytest.mark.parametrize(
    ("value", "mark", "kept"),
    [
        (47, {"step": 10}, 40), (47.5, {"step": 0.5}, 47.5), (-3, {"step": 10}, -10), (True, {"step": 10}, MASK),
        ("abcdef", {"keep": 2}, "ab"), ("a", {"keep": 2}, "a"), (17, {"keep": 2}, MASK),
        (float("nan"), {"step": 1}, MASK),
    ],
)  # fmt: skip
def test_what_is_truncated_is_coarser_and_never_whole_by_accident(value, mark, kept):
    assert Keyring(()).treatment(PersonalMark(treatment=Treatment.TRUNCATED, **mark))(value) == kept


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"treatment": "truncated"}, "needs `keep`"), ({"treatment": "hashed", "keep": 2}, "of what is truncated"),
        ({"treatment": "never-logged", "subject": True}, "has to be hashed"),
    ],
)  # fmt: skip
def test_a_mark_that_says_nothing_sensible_is_refused(given, text):
    with pytest.raises(ValueError, match=text):
        PersonalMark.model_validate(given)


def test_a_preview_tells_all_that_the_config_lacks_for_a_contract_s_personal_fields():
    task = InspectionTask(asked=(), is_application=True, queue=True, privacy=Privacy(consent=ConsentByField(field="agree")))
    told = list(_personal(contract(examples=()), task))
    assert [text for part in ("to be hashed", "wait in a broker", "an example", "consent.field is 'agree'")
            for text in told if part in text] == told and len(told) == 4  # fmt: skip
    assert list(_personal(contract(), InspectionTask(asked=()))) == [], "a workload's own test has no config"


def test_a_replica_does_not_start_where_its_key_cannot_be_had_or_is_a_guess(tmp_path):
    with pytest.raises(PermanentError, match=r"declare serving\.privacy\.keys"):
        opened(tmp_path, Privacy())
    with pytest.raises(PermanentError, match="take 16 or more"):
        opened(tmp_path, Privacy(keys=(key(tmp_path, "k1", "short"),)))


def test_an_error_of_a_call_without_personal_values_keeps_its_words(tmp_path, privacy):
    app = opened(tmp_path, privacy)
    with pytest.raises(WithheldError, match="ValueError: no such person"):
        app.plane.predict(Call(None, replayed=True), json.dumps({**EXAMPLE, "income": 13}).encode(), time.perf_counter())
    assert POSTCODE not in str(app.plane.kept)
    app.close()


def test_answers_that_the_model_is_unsure_of_go_to_people_with_what_is_personal_treated(tmp_path, privacy):
    review = Review(answer=ReviewProbability(field="score"), below=0.8, random_share=0.0)
    app = opened(tmp_path, privacy, review=review)
    for income in (100.0, 600.0, 990.0):
        assert ask(app, {**ROW, "income": income}, x_request_id=f"r-{income:g}").status == 200
    app.close()
    (path,) = (tmp_path / "objects" / "reviews" / "loans" / "items").iterdir()
    [item] = [json.loads(line) for line in path.read_text().splitlines()]
    assert (item["requestId"], item["answer"], item["confidence"], item["selection"]) == ("r-600", "1", 0.6, "unsure")
    assert TOKEN.match(item["inputs"]["email"])
    assert_nowhere(tmp_path)
