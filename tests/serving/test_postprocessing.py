"""Steps between what a model answers and what a client gets."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shelves
from serving_fakes import Log, call, seal_here, version
from shelves import CONTRACT, SHORTEN, WITHDRAWN, Shelf, loaded, step

from heliostat.ml.postprocessing import Changed, read_list
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.golden import GoldenFailures
from heliostat.serving.inference.tensors import NamedTensor
from heliostat.serving.opening import steps_of
from heliostat.serving.postprocessing import StepError, Steps
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.tap import TapQuery
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.postprocessing import OnError, PostprocessingStep, list_key
from heliostat.spec.workload import PredictionLog as LogSettings
from heliostat.systems import step_lists
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store


def plane(log: Any, steps: Steps | None) -> DataPlane:
    return DataPlane(CONTRACT, shelves.Ranks(), version(), log, steps)


def asked(given: DataPlane, body: Any, replayed: bool = False) -> Any:
    return json.loads(given.predict(Call(b"r", replayed), json.dumps(body).encode(), time.perf_counter()))


def counted(given: DataPlane) -> list[tuple[str, str, str, int, int]]:
    return [(each.step, each.outcome.value, each.reason, each.answers, each.removed) for each in given.tally.counts().counts]


def test_a_client_gets_what_the_steps_made_of_it_one_after_another(log: Log) -> None:
    given = plane(log, loaded(WITHDRAWN, SHORTEN))
    assert asked(given, {"seat": 1}) == {"films": ["casablanca"], "score": 0.5, "remark": ""}
    assert asked(given, {"rows": [{"seat": 0}, {"seat": 2}]})["rows"][0]["films"] == ["alien"]
    assert given.answers([shelves.Viewer(seat=0)])[0].films == ["alien"]


@pytest.mark.parametrize("body", [{"seat": 3}, {"rows": [{"seat": 3}]}, {"rows": [{"seat": 0}, {"seat": 1}]}])
def test_steps_that_change_nothing_leave_every_byte_as_it_was(log: Log, body: Any) -> None:
    sent = json.dumps(body).encode()
    with_steps = plane(log, loaded(WITHDRAWN, withdrawn="metropolis")).predict(Call(b"a", True), sent, 0.0)
    assert with_steps == plane(log, None).predict(Call(b"b", True), sent, 0.0)


def test_what_was_changed_is_logged_with_its_reason_and_the_answer_before(log: Log) -> None:
    given = plane(log, loaded(WITHDRAWN, SHORTEN))
    asked(given, {"rows": [{"seat": 0}, {"seat": 1}]})
    [processed] = log.processed
    assert json.loads(processed.model_encoded[0])["films"] == list(shelves.FILMS)
    told = [(each.row, each.step, each.reason, each.removed) for each in processed.changes]
    assert told == [
        (0, "legal-removal", "legal-removal", 2), (1, "legal-removal", "legal-removal", 2),
        (0, "shorten", "", 0), (1, "shorten", "", 0),
    ]  # fmt: skip
    assert {each.version for each in processed.changes} == {WITHDRAWN.version, SHORTEN.version}


def test_a_step_that_says_it_changed_what_it_did_not_is_not_believed(log: Log) -> None:
    given = plane(log, loaded(WITHDRAWN, withdrawn="metropolis"))
    asked(given, {"seat": 0})
    assert log.processed[0].changes == ()
    assert counted(given) == [("legal-removal", "seen", "", 1, 0)]


def test_changes_of_clients_requests_are_counted_and_those_of_replays_are_not(log: Log) -> None:
    given = plane(log, loaded(WITHDRAWN))
    for _ in range(2):
        asked(given, {"rows": [{"seat": 0}, {"seat": 1}]})
    before = counted(given)
    assert before == [("legal-removal", "changed", "legal-removal", 4, 8), ("legal-removal", "seen", "", 4, 0)]
    asked(given, {"seat": 0}, replayed=True)
    given.check_golden()
    assert counted(given) == before


def test_what_is_compared_and_kept_for_the_tap_is_what_the_client_got(log: Log) -> None:
    given = plane(log, loaded(WITHDRAWN))
    asked(given, {"seat": 0})
    [kept] = given.tap.page(TapQuery()).requests
    assert json.loads(kept.answer)["films"] == ["alien", "casablanca"]


def test_golden_requests_are_held_against_what_a_client_would_get(log: Log) -> None:
    assert plane(log, loaded(WITHDRAWN)).check_golden() == 1
    with pytest.raises(GoldenFailures) as failed:
        plane(log, loaded(WITHDRAWN, withdrawn="alien")).check_golden()
    assert "expected alien on the shelf" in failed.value.failures[0]["reason"]


def test_tensors_are_answered_with_what_the_steps_made_of_them_too(log: Log) -> None:
    shelves.MADE[:] = [lambda answers: [each.model_copy(update={"score": 0.25, "films": ["dune"]}) for each in answers]]
    given = plane(log, loaded(step("give_any")))
    outputs = {each.name: each for each in given.infer(Call(b"t", False), [NamedTensor("seat", "INT64", (2, 1), [0, 1])], 0.0)}
    assert outputs["score"].flat() == [0.25, 0.25]
    assert [each.step for each in log.processed[0].changes] == ["give-any", "give-any"]
    assert json.loads(bytes(log.entries[0][3]))["rows"][0]["films"] == ["dune"]


def test_a_step_that_raises_fails_the_request_and_says_which_step_it_was(log: Log) -> None:
    given = plane(log, loaded(step("fail_for_children")))
    with pytest.raises(StepError, match=r"fail-for-children failed on this request \(KeyError\)"):
        asked(given, {"rows": [{"seat": 0, "adult": False}, {"seat": 1}]})
    assert counted(given) == [("fail-for-children", "failed", "KeyError", 2, 0)]
    assert log.entries == []
    assert [each.status for each in given.tap.page(TapQuery()).requests] == [500]


def test_a_client_hears_which_step_failed_and_nothing_of_why(log: Log) -> None:
    app = RestApplication(plane(log, loaded(step("fail_for_children"))), "/shelves")
    answer = asyncio.run(call(app, "POST", "/predict", b'{"seat":0,"adult":false}', content_type="application/json"))
    assert answer.status == 500
    assert "the post-processing step fail-for-children failed on this request (KeyError)" in answer.json["detail"]
    assert "rating" not in answer.json["detail"]
    assert "x-request-id" in answer.headers


def test_a_step_that_may_be_passed_over_leaves_no_trace_in_the_answer_and_one_in_the_log(log: Log) -> None:
    given = plane(log, loaded(step("fail_for_children", on_error=OnError.PASS), SHORTEN))
    assert asked(given, {"seat": 0, "adult": False})["films"] == ["alien"]
    first, second = log.processed[0].changes
    assert (first.step, first.outcome.value, first.reason) == ("fail-for-children", "passed", "KeyError")
    assert second.step == "shorten"


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda answers: answers[:-1], "gave 0 answers for 1 rows"),
        (lambda answers: None, "gave a NoneType for 1 rows"),
        (lambda answers: "a", "gave 1 answers for 1 rows|gave a str"),
        (lambda answers: [{"films": []}], "gave a dict for an answer: the contract's are Shelf"),
        (lambda answers: [answers[0].model_copy(update={"score": 1.5})], "score: Input should be less than or equal to 1"),
        (lambda answers: [answers[0].model_copy(update={"films": None})], "films: Input should be a valid list"),
        (lambda answers: [Changed(answers[0], "Row 7 of Ada")], "gave the reason 'Row 7 of Ada'"),
        (lambda answers: [Changed(answers[0], "ok", -1)], "removed -1 entries"),
        (lambda answers: [answers[0].model_copy(update={"films": [object()]})], "gave what"),
    ],
)
def test_what_a_step_gives_is_held_against_the_contract(log: Log, made: Any, why: str) -> None:
    shelves.MADE[:] = [made]
    with pytest.raises(StepError, match=why):
        asked(plane(log, loaded(step("give_any"))), {"seat": 0})


def test_an_answer_that_is_spoilt_in_place_is_seen(log: Log) -> None:
    def spoil(answers: Any) -> Any:
        answers[0].score = 7.0
        return answers

    shelves.MADE[:] = [spoil]
    with pytest.raises(StepError, match="score: Input should be less"):
        asked(plane(log, loaded(step("give_any"))), {"seat": 0})


def test_parameters_are_of_the_class_that_the_function_asks_for() -> None:
    with pytest.raises(ValueError, match=r"step shorten: the parameters do not fit Limits: most: .* greater than"):
        loaded(step("shorten", parameters={"most": 0}))
    with pytest.raises(ValueError, match="least: Extra inputs"):
        loaded(step("shorten", parameters={"least": 0}))


def test_blank_lines_and_comments_of_a_list_are_no_entries() -> None:
    assert read_list("\ufeffdune \r\n\n# a comment\n  alien\n") == {"dune", "alien"}


def test_a_version_is_another_with_other_code_parameters_or_content_and_the_same_at_another_place() -> None:
    def named(source: str, digest: str, **changes: Any) -> PostprocessingStep:
        return step("remove_withdrawn", lists={"withdrawn": {"source": source, "digest": digest * 64}}, **changes)

    first = named("a.txt", "a")
    assert first.version == named("store:b.txt", "a").version
    others = [
        named("a.txt", "b"), named("a.txt", "a", code_digest="c" * 64), named("a.txt", "a", parameters={"most": 1}),
        named("a.txt", "a", on_error=OnError.PASS),
    ]  # fmt: skip
    assert len({first.version, *(each.version for each in others)}) == 5


@pytest.mark.parametrize("spoiled", [False, True])
def test_a_replica_reads_the_list_as_it_was_declared_whatever_became_of_its_source(tmp_path: Path, spoiled: bool) -> None:
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    store, source = open_store(address), tmp_path / "withdrawn.txt"
    source.write_text("dune\n")
    digest = step_lists.digest_of(source.read_bytes())
    declared = step("remove_withdrawn", lists={"withdrawn": {"source": "withdrawn.txt", "digest": digest}})
    step_lists.keep([declared], tmp_path, store)
    source.write_text("alien\n")
    if spoiled:
        store.put(list_key(digest), b"alien\n")
        with pytest.raises(PermanentError, match=r"is not withdrawn\.txt as it was declared"):
            steps_of((declared,), CONTRACT, address)
        return
    steps = steps_of((declared,), CONTRACT, address)
    assert steps is not None
    row = shelves.Viewer(seat=0)
    assert steps.apply([row], [shelves.respond(0)]).answers[0].films == ["alien", "brazil", "casablanca"]
    assert steps_of((), CONTRACT, address) is None


def test_a_list_that_changes_while_it_is_declared_is_not_stored(tmp_path: Path) -> None:
    (tmp_path / "withdrawn.txt").write_text("dune\n")
    with pytest.raises(PermanentError, match="changed while this ran: run it again"):
        step_lists.keep([WITHDRAWN], tmp_path, open_store(StoreAddress(uri=f"file://{tmp_path}/objects")))


def test_the_prediction_log_has_both_answers_and_what_each_step_changed(tmp_path: Path) -> None:
    address = StoreAddress(uri=f"file://{tmp_path}/objects")
    columns = Columns.of(shelves.Viewer, Shelf, postprocessed=True)
    log = PredictionLog(
        LogSettings(flush_seconds=0.01), address, tmp_path / "spool", "shelves", "3-a", columns, seal=seal_here
    )
    given = plane(log, loaded(WITHDRAWN, SHORTEN))
    asked(given, {"rows": [{"seat": 0}, {"seat": 2}]})
    plane(log, loaded(WITHDRAWN, withdrawn="metropolis")).predict(Call(b"as-it-was", False), b'{"seat":0}', 0.0)
    given.close()
    [path] = (tmp_path / "objects").rglob("*.parquet")
    rows = {(row["request_id"], row["row"]): row for row in pq.read_table(path).to_pylist()}
    changed, as_it_was = rows["r", 0], rows["as-it-was", 0]
    assert changed["prediction_films"] == ["alien"]
    assert changed["model_prediction_films"] == list(shelves.FILMS)
    assert changed["changes"] == [
        {"step": "legal-removal", "version": WITHDRAWN.version, "outcome": "changed", "reason": "legal-removal", "removed": 2},
        {"step": "shorten", "version": SHORTEN.version, "outcome": "changed", "reason": "", "removed": 0},
    ]
    assert as_it_was["model_prediction_films"] == as_it_was["prediction_films"] == list(shelves.FILMS)
    assert as_it_was["changes"] == []


def test_the_log_of_an_application_without_steps_has_no_column_for_them() -> None:
    from heliostat.serving.prediction_log.arrow import schema_of

    names = schema_of(Columns.of(shelves.Viewer, Shelf)).names
    assert not {"changes", "model_prediction", "model_prediction_films"} & {*names}
