"""Edits of a state by hand, as the official CLI makes them."""

import pytest

from heliostat.engine.stackerrors import NotFoundError, StackError
from heliostat.engine.state.edit import flaws, forget, protect, rename, repair
from heliostat.engine.state.move import move
from heliostat.engine.state.snapshot import Resource, Secret

ROOT = "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
PROVIDER = "urn:pulumi:dev::demo::pulumi:providers:t::default"


def urn(name, type_="t:i:Thing"):
    return f"urn:pulumi:dev::demo::{type_}::{name}"


def thing(name, *needs, **more):
    more = {"parent": ROOT, "provider": f"{PROVIDER}::1", "id": f"{name}-id"} | more
    return Resource(urn(name), "t:i:Thing", custom=True, dependencies=[urn(one) for one in needs], **more)


def stack(*things):
    root = Resource(ROOT, "pulumi:pulumi:Stack", custom=False)
    provider = Resource(PROVIDER, "pulumi:providers:t", custom=True, id="1", parent=ROOT)
    return [root, provider, *things]


def names(resources):
    return [one.urn.rsplit("::", 1)[1] for one in resources[2:]]


def test_a_resource_is_forgotten_and_what_others_need_is_not():
    state = stack(thing("a"), thing("b", "a"), thing("c", protect=True), thing("d"))
    assert names(forget(state, [urn("d")])) == ["a", "b", "c"]
    assert names(forget(state, [urn("a"), urn("b")])) == ["c", "d"], "in whatever order they are named"
    assert names(forget(state, [urn("a")], dependents=True)) == ["c", "d"]
    with pytest.raises(StackError, match=r"(?s)can't be safely deleted because.*'b'.*--target-dependents"):
        forget(state, [urn("a")])
    with pytest.raises(StackError, match=r"protected\. Re-run this command with --force"):
        forget(state, [urn("c")])
    assert names(forget(state, [urn("c")], force=True)) == ["a", "b", "d"]
    with pytest.raises(StackError, match="depend on it"):
        forget(state, [PROVIDER])
    with pytest.raises(NotFoundError, match=f"did you mean '{urn('a')}'"):
        forget(state, ["a"])


def test_what_waits_for_its_deletion_shares_a_urn_and_is_left_alone():
    state = stack(thing("a", delete=True), thing("a"), thing("b", "a"))
    with pytest.raises(StackError, match="depend"):
        forget(stack(thing("a"), thing("b", "a")), [urn("a")])
    assert names(forget(state, [urn("a")])) == ["a", "b"], "one of that name is still there"
    assert [one.protect for one in protect(state, [urn("a")], on=True)[2:]] == [False, True, False]


def test_resources_are_protected_and_unprotected():
    state = stack(thing("a"), thing("b"))
    locked = protect(state, None, on=True)
    assert all(one.protect for one in locked)
    assert [one.protect for one in protect(locked, [urn("b")], on=False)[2:]] == [True, False]
    assert not state[2].protect
    with pytest.raises(NotFoundError):
        protect(state, [urn("x")], on=True)


def test_a_renamed_resource_is_renamed_wherever_it_is_mentioned():
    child = thing("child", parent=urn("a"), property_dependencies={"p": [urn("a")]}, deleted_with=urn("a"))
    renamed = rename(stack(thing("a"), thing("b", "a"), child), urn("a"), "new")
    assert names(renamed) == ["new", "b", "child"]
    assert renamed[3].dependencies == [urn("new")]
    assert (renamed[4].parent, renamed[4].property_dependencies, renamed[4].deleted_with) == (
        urn("new"),
        {"p": [urn("new")]},
        urn("new"),
    )
    assert flaws(renamed) == []
    with pytest.raises(StackError, match="in the state already"):
        rename(stack(thing("a"), thing("b")), urn("a"), "b")
    provider = rename(stack(thing("a")), PROVIDER, "mine")
    assert provider[2].provider == f"{provider[1].urn}::1"


def test_a_state_is_put_in_order_and_only_where_it_has_to_be():
    good = stack(thing("a"), thing("b", "a"))
    assert flaws(good) == []
    assert repair(good) == (good, [])
    broken = stack(thing("b", "a", "gone", parent=urn("lost")), thing("a"))
    assert len(flaws(broken)) == 3
    fixed, notes = repair(broken)
    assert names(fixed) == ["a", "b"]
    assert flaws(fixed) == []
    assert any("gone" in note for note in notes)
    with pytest.raises(StackError, match="need each other"):
        repair(stack(thing("a", "b"), thing("b", "a")))
    with pytest.raises(StackError, match="provider"):
        repair(stack(thing("a", provider="urn:pulumi:dev::demo::pulumi:providers:x::y::1")))
    with pytest.raises(StackError, match="stands twice"):
        repair(stack(thing("a"), thing("a")))


def test_resources_move_with_their_children_and_their_provider():
    secret = thing("b", "a", inputs={"pw": Secret("x")}, property_dependencies={"p": [urn("a")]})
    source = stack(thing("a"), secret, thing("child", parent=urn("b")), thing("c", "b"))
    moved = move(source, [], [urn("b")], ("prod", "other"))
    assert names(moved.source) == ["a", "c"]
    assert moved.source[3].dependencies == []
    assert moved.moved == [urn("b"), urn("child")]
    assert [one.urn for one in moved.target] == [
        "urn:pulumi:prod::other::pulumi:pulumi:Stack::other-prod",
        "urn:pulumi:prod::other::pulumi:providers:t::default",
        "urn:pulumi:prod::other::t:i:Thing::b",
        "urn:pulumi:prod::other::t:i:Thing$t:i:Thing::child",
    ]
    assert moved.target[2].provider == "urn:pulumi:prod::other::pulumi:providers:t::default::1"
    assert moved.target[2].inputs == {"pw": Secret("x")}
    assert moved.target[3].parent == moved.target[2].urn
    assert flaws(moved.source) == flaws(moved.target) == []
    assert moved.cut_in_source == [f"{urn('c')} depends on {urn('b')}"]
    assert len(moved.cut_in_target) == 2


def test_a_move_is_refused_where_it_would_lose_or_cover_something():
    source = stack(thing("a"), thing("child", parent=urn("a")))
    there = move(source, [], [urn("a")], ("prod", "demo")).target
    with pytest.raises(StackError, match="already exists"):
        move(source, there, [urn("a")], ("prod", "demo"))
    with pytest.raises(StackError, match="cannot move providers"):
        move(source, [], [PROVIDER], ("prod", "demo"))
    with pytest.raises(NotFoundError):
        move(source, [], [urn("x")], ("prod", "demo"))
    parents = move(source, [], [urn("child")], ("prod", "demo"), include_parents=True)
    assert parents.moved == [urn("a"), urn("child")]
    assert move(source, [], [urn("child")], ("prod", "demo")).target[2].parent == there[0].urn
