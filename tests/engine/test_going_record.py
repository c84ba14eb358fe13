"""What is known beside the state of work that goes on: by each update that leaves it, finds it, or takes its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.engine.events import GoingOn, Summary
from heliostat.engine.state import going
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.going import DONE, FAILED, REPLACED, Ended, Record, Work, after

URN, OTHER = "urn:pulumi:dev::lab::t:i:Train::a", "urn:pulumi:dev::lab::t:i:Train::b"
ONE, TWO = "1" * 40, "2" * 40
NOW = 10_000_000.0


def on(urn: str = URN, job: str = "a-1") -> GoingOn:
    return GoingOn(urn, f"it goes on as {job}; the next takes it", {"job": job})


def left(*going_on: GoingOn, commit: str = ONE, plan: str = "", is_partial: bool = False, **said: object) -> Ended:
    return Ended(Summary(False, {}, 1.0, going=going_on, **said), commit, plan, is_partial)  # type: ignore[arg-type]


def done(commit: str = ONE, is_partial: bool = False) -> Ended:
    return Ended(Summary(True, {}, 1.0), commit, is_partial=is_partial)


def failed(commit: str = ONE, **errors: str) -> Ended:
    return Ended(Summary(False, {}, 1.0, failed=True, errors=dict(errors.items())), commit)


KNOWN = after(Record(), left(on(), plan="{}"), NOW)


def test_what_is_left_is_known_with_its_commit_and_the_plan():
    expected = Record((Work(URN, "it goes on as a-1; the next takes it", ONE, NOW, {"job": "a-1"}),), ONE, "{}")
    assert expected == KNOWN


def test_an_update_that_leaves_nothing_writes_nothing(tmp_path: Path):
    backend, ref = Backend.open(f"file://{tmp_path}"), StackRef("lab", "dev")
    assert going.keep(backend, ref, done()) == []
    assert going.keep(backend, ref, failed()) == []
    assert list(tmp_path.rglob("*")) == []
    assert going.read(backend, ref) == Record()


def test_what_is_still_going_on_is_as_old_as_it_was():
    assert after(KNOWN, left(on()), NOW + 60) == KNOWN
    (work,) = after(KNOWN, left(on(), commit=TWO), NOW + 60).works
    assert (work.since, work.commit) == (NOW, ONE)
    assert after(KNOWN, left(on(), commit=TWO), NOW + 60).plan == "", "another commit's plan is not this one's"


def test_its_end_is_that_of_the_update_that_takes_it():
    (work,) = after(KNOWN, done(), NOW + 60).works
    assert (work.result, work.ended, work.goes_on) == (DONE, NOW + 60, False)
    assert after(KNOWN, done(), NOW + 60).going == ()
    (work,) = after(KNOWN, failed(**{URN: "no such column"}), NOW + 60).works
    assert (work.result, work.error) == (FAILED, "no such column")


def test_another_job_takes_its_place():
    first, second = after(KNOWN, left(on(job="b-1"), commit=TWO), NOW + 60).works
    assert (first.result, second.goes_on, second.commit) == (REPLACED, True, TWO)


@pytest.mark.parametrize(
    "update",
    [
        Ended(Summary(False, {}, 0.0), ONE),
        Ended(Summary(False, {}, 1.0, cancelled=True, failed=True, errors={URN: "goes on as a-1"}), ONE),
        done(is_partial=True),
    ],
    ids=["the engine raised", "it was cancelled", "it left resources alone"],
)
def test_an_update_that_did_not_come_to_it_leaves_it_as_it_is(update: Ended):
    assert after(KNOWN, update, NOW + 60).going == KNOWN.going


def test_an_update_that_failed_elsewhere_is_gone_on_with_by_a_person():
    found = after(KNOWN, failed(**{OTHER: "\nno room\nat all"}), NOW + 60)
    assert (found.going, found.stopped) == (KNOWN.going, "no room")
    assert after(found, left(on()), NOW + 120).stopped == ""


def test_two_resources_may_wait_for_the_same_job():
    both = after(Record(), left(on(), on(OTHER)), NOW)
    assert [work.urn for work in both.going] == [URN, OTHER]
    one = after(both, left(on()), NOW + 60)
    assert [(work.urn, work.result) for work in one.works] == [(URN, ""), (OTHER, DONE)]


def test_what_ended_is_forgotten_in_its_time():
    ended = after(KNOWN, done(), NOW)
    assert after(ended, done(), NOW + 29 * 86_400).works == ended.works
    assert after(ended, done(), NOW + 31 * 86_400).works == ()


def test_a_record_is_read_as_it_was_written_and_a_damaged_one_is_none(tmp_path: Path):
    backend, ref = Backend.open(f"file://{tmp_path}"), StackRef("lab", "dev")
    going.keep(backend, ref, left(on(), plan="{}"))
    (work,) = going.read(backend, ref).going
    assert (work.job, going.read(backend, ref).plan) == ("a-1", "{}")
    (file,) = tmp_path.rglob("dev.json")
    for text in ("", "[]", '{"works": [{"x": 1}]}', "\xff"):
        file.write_text(text)
        assert going.read(backend, ref) == Record()
    going.forget(backend, ref)
    going.forget(backend, ref)
    assert not file.exists()


def test_it_goes_with_its_stack_and_one_that_the_official_cli_left_is_no_later_stack_s(tmp_path: Path):
    backend, ref = Backend.open(f"file://{tmp_path}"), StackRef("lab", "dev")
    backend.create(ref, None)
    going.keep(backend, ref, left(on()))
    going.keep(backend, StackRef("lab", "dev2"), left(on()))
    backend.remove(ref)
    assert not (tmp_path / ref.going_on).exists()
    going.keep(backend, ref, left(on()))  # as `pulumi stack rename` and `pulumi stack rm` leave it
    backend.create(ref, None)
    assert going.read(backend, ref) == Record()
    assert going.read(backend, StackRef("lab", "dev2")).going
