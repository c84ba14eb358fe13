import click
import pytest
from rollout_records import BEGAN, desired, entry, rollout, status, succeeded, version
from test_history import two_rollouts

from heliostat.cli import session
from heliostat.rollout.orders import fingerprint
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Phase
from heliostat.systems import objects


@pytest.fixture
def serving_two(controller, deployed_platform):
    """Version 2 serves; the ledger knows how that came, and the controller would go back to version 1."""
    deployed_platform.remember(*two_rollouts())
    controller.serve(succeeded(), number=2)
    controller.keeps(desired(1), entry=2, at=BEGAN + 120)
    return controller


def back_to_one(phase=Phase.SUCCEEDED, **changes):
    going = rollout(number=8, from_version="2-00000002", to_version="1-00000001", phase=phase, **changes)
    return status(rollout=going, number=1)


def test_a_rollback_shows_the_exact_versions_and_watches_to_the_end(serving_two, stack):
    serving_two.coming.append(back_to_one())
    ran = stack("rollback", "--yes", "--reason", "wrong answers")
    assert ran.code == 0, ran.err
    assert "2-00000002 serves. It goes back to entry 2 of" in ran.out
    for part in (version(1).digest, version(1).code_uri, version(1).data_digest, "models:/flights/1"):
        assert part in ran.out
    assert "flights: rollout 8, canary, 2-00000002 -> 1-00000001" in ran.out
    ((what, name, wish),) = serving_two.said
    assert (what, name, wish.by, wish.reason) == ("rollback", "flights", "grace", "wrong answers")
    assert (wish.to, wish.expected) == (None, fingerprint(desired(1))), "the controller is held to what was shown"


def test_a_rollback_to_an_entry_goes_there(serving_two, stack):
    serving_two.coming.append(back_to_one())
    shown = stack.ok("rollback", "flights", "--to", "1", "--yes")
    assert "It goes back to entry 1 of" in shown
    ((_, _, wish),) = serving_two.said
    assert (wish.to, wish.expected) == (1, None)


def test_a_rollback_to_what_is_still_warm_needs_no_object_store(serving_two, stack, monkeypatch):
    def away(*_):
        raise AssertionError("the object store is not to be asked")

    monkeypatch.setattr(objects, "open_store", away)
    serving_two.keeps(desired(1), warm=True)
    serving_two.coming.append(back_to_one())
    shown = stack.ok("rollback", "--yes")
    assert "It goes back to what served before, whose replicas still run:" in shown
    assert version(1).code_uri in shown
    assert len(serving_two.said) == 1


def test_where_the_choice_is_another_one_after_the_question_nothing_is_rolled_back(serving_two, stack, monkeypatch):
    def confirm(text):
        serving_two.keeps(desired(4))
        return True

    monkeypatch.setattr(session, "is_interactive", lambda: True)
    monkeypatch.setattr(click, "confirm", confirm)
    ran = stack("rollback")
    assert (ran.code, serving_two.said) == (1, [])
    assert "is no longer what was shown" in ran.err


def test_a_rollback_that_fails_ends_with_failure(serving_two, stack):
    serving_two.coming.append(back_to_one(Phase.FAILED, error="its model is gone"))
    ran = stack("rollback", "--yes")
    assert ran.code == 1
    assert "rollout 8 of flights failed" in ran.err


def test_a_rollback_that_is_detached_from_does_not_wait(serving_two, stack):
    serving_two.coming.append(back_to_one(Phase.STARTING, ended_at=None))
    shown = stack.ok("rollback", "--yes", "--detach")
    assert "heliostat rollout watch flights" in shown
    assert not serving_two.waited.is_set()


def test_without_a_terminal_and_without_yes_nothing_is_rolled_back(serving_two, stack):
    ran = stack("rollback")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert serving_two.said == []


def test_a_rollback_to_an_entry_that_is_not_there_or_served_nothing_is_refused(serving_two, stack, deployed_platform):
    ran = stack("rollback", "--to", "99", "--yes")
    assert ran.code == 1
    assert "entry 99 of the ledger of flights cannot be read: it is not there" in ran.err
    deployed_platform.remember(entry(8, EntryKind.REMOVED))
    ran = stack("rollback", "--to", "8", "--yes")
    assert ran.code == 1
    assert "after entry 8 nothing served flights" in ran.err
    assert serving_two.said == []


def test_where_nothing_else_served_the_controller_says_so_and_nothing_is_asked(controller, stack):
    controller.serve(succeeded(), number=1, serving=version(1))
    ran = stack("rollback")
    assert ran.code == 1
    assert ran.err == "error: the ledger of flights knows no version that served before the present one\n"
    assert controller.said == []


@pytest.mark.parametrize(("answer", "code", "said"), [("y", 0, 1), ("n", 1, 0)])
def test_at_a_terminal_it_asks(serving_two, stack, monkeypatch, answer, code, said):
    asked = []
    monkeypatch.setattr(session, "is_interactive", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda text: asked.append(text) or answer == "y")
    serving_two.coming.append(back_to_one())
    ran = stack("rollback")
    assert (ran.code, len(serving_two.said)) == (code, said)
    assert asked == ["Roll flights back to 1-00000001?"]
