from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.errors import EngineError
from heliostat.engine.events import PropertyChange
from heliostat.engine.planning.goals import Alias, Goal, Names, seconds
from heliostat.engine.protocol.diffs import Diff, local_diff, property_changes, with_replace_on_changes
from heliostat.engine.protocol.paths import Path as PropertyPath
from heliostat.engine.protocol.properties import annotated, from_struct, has_unknowns, to_struct, with_secrets_of
from heliostat.engine.state import urns
from heliostat.engine.state.graph import all_needs, dependents_of, levels, needs, repaired, with_dependents
from heliostat.engine.state.journal import Journal
from heliostat.engine.state.snapshot import UNKNOWN, OperationType, PendingOperation, Resource, Secret, Snapshot

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text().filter(lambda text: text != UNKNOWN),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | inner.filter(lambda value: not isinstance(value, Secret)).map(Secret)
    ),
    max_leaves=10,
)


def resource(name: str, *needs: str, custom: bool = True, **more: Any) -> Resource:
    return Resource(urn=name, type="t", custom=custom, dependencies=list(needs), **more)


# --- values


@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_values_come_back_from_the_protocol_as_they_went(values: dict[str, Any]) -> None:
    assert from_struct(to_struct(values)) == values


def test_what_is_unknown_is_left_out_where_it_may_not_go() -> None:
    values = {"a": UNKNOWN, "b": [1, UNKNOWN], "c": Secret(UNKNOWN), "d": {"e": UNKNOWN, "f": 1}}
    assert from_struct(to_struct(values, unknowns=False)) == {"b": [1], "d": {"f": 1}}
    assert has_unknowns(values)
    assert not has_unknowns({"a": [Secret("known")]})


def test_an_unknown_of_any_type_is_unknown() -> None:
    typed = struct_pb2.Struct()
    typed.update({"number": "3eeb2bf0-c639-47a8-9e75-3b44932eb421", "list": ["6a19a0b0-7e62-4c92-b797-7f8e31da9cc2"]})
    assert from_struct(typed) == {"number": UNKNOWN, "list": [UNKNOWN]}


def test_a_plugin_that_knows_no_secrets_gets_them_bare_and_gives_them_back_secret() -> None:
    inputs = {"token": Secret("hush"), "deep": {"list": [Secret("a"), "b"]}}
    bare = from_struct(to_struct(inputs, secrets=False))
    assert bare == {"token": "hush", "deep": {"list": ["a", "b"]}}
    assert annotated({**bare, "more": 1}, inputs) == {"token": Secret("hush"), "deep": {"list": Secret(["a", "b"])}, "more": 1}
    assert annotated({"deep": "flat", "token": Secret(1)}, inputs) == {"deep": Secret("flat"), "token": Secret(1)}


def test_outputs_are_secret_where_inputs_are_or_the_program_says_so() -> None:
    outputs = with_secrets_of({"a": 1, "b": 2, "c": 3}, {"a": Secret(1), "c": 3}, ["b", "missing"])
    assert outputs == {"a": Secret(1), "b": Secret(2), "c": 3}


# --- differences


def test_a_path_holds_what_lies_below_it() -> None:
    assert PropertyPath.parse("a[*].b").contains(PropertyPath.parse('a[3]["b"].c'))
    assert not PropertyPath.parse("a.b").contains(PropertyPath.parse("a"))
    assert not PropertyPath.parse("a").contains(PropertyPath.parse("ab"))


def test_a_change_of_what_the_program_names_replaces() -> None:
    diff = Diff(changes=True, changed=("v", "w"), detailed={"v.x": False, "w": False})
    chosen = with_replace_on_changes(diff, ["v"], init_errors=False)
    assert chosen.replacing
    assert chosen.detailed == {"v.x": True, "w": False}
    assert not with_replace_on_changes(diff, ["z"], init_errors=False).replacing
    assert with_replace_on_changes(Diff(changes=False), ["#initerror"], init_errors=True).replacing


def test_secrets_are_compared_by_what_they_hold_and_shown_wrapped() -> None:
    assert not local_diff({"a": Secret(1)}, {"a": 1}).changes
    diff = local_diff({"a": Secret({"b": 1})}, {"a": Secret({"b": 2})})
    assert diff.changed == ("a",)
    shown = property_changes(replace(diff, detailed={"a.b": True}), {"a": Secret({"b": 1})}, {"a": Secret({"b": 2})})
    assert shown == (PropertyChange("a.b", Secret(1), Secret(2), replaces=True),)


# --- names


def test_a_target_may_hold_wildcards() -> None:
    urn = "urn:pulumi:dev::p::lab:index:Box$lab:index:Lab::a-1"
    assert urns.matches("**a-1", urn)
    assert urns.matches("urn:pulumi:dev::p::**::a-*", urn)
    assert not urns.matches("urn:pulumi:dev::*", urn)
    assert not urns.matches("**::a", urn)


def test_children_are_looked_for_under_the_old_name_of_their_parent() -> None:
    old, new = "urn:pulumi:s::p::t:i:Box::old", "urn:pulumi:s::p::t:i:Box::new"
    names = Names("s", "p", {new: old}.get)
    goal = Goal(type="t:i:Lab", name="new-a", custom=True, parent=new, aliases=(Alias(name="b"), Alias(type="t:i:Old")))
    assert names.aliases(goal) == [
        "urn:pulumi:s::p::t:i:Box$t:i:Lab::b",
        "urn:pulumi:s::p::t:i:Box$t:i:Old::new-a",
        "urn:pulumi:s::p::t:i:Box$t:i:Lab::old-a",
        "urn:pulumi:s::p::t:i:Box$t:i:Old::old-a",
    ]


def test_an_alias_can_name_another_stack_project_or_parent() -> None:
    names = Names("s", "p", {}.get)
    goal = Goal(type="t:i:Lab", name="a", custom=True, parent="urn:pulumi:s::p::t:i:Box::box")
    other = Alias(parent="urn:pulumi:s::p::t:i:Box::other")
    aliases = (Alias(no_parent=True), Alias(stack="x", project="y"), other, Alias(urn="u"))
    assert names.aliases(replace(goal, aliases=aliases)) == [
        "urn:pulumi:s::p::t:i:Lab::a",
        "urn:pulumi:x::y::t:i:Box$t:i:Lab::a",
        "urn:pulumi:s::p::t:i:Box$t:i:Lab::a",
        "u",
    ]


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25)])
def test_durations_are_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["90", "soon", "5m later"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="custom timeout"):
        seconds(text)


# --- graph


def test_dependents_are_found_through_others_and_in_order() -> None:
    resources = [resource("a"), resource("b", "a"), resource("x"), resource("c", "b")]
    assert [one.urn for one in dependents_of(resources[0], resources)] == ["b", "c"]
    assert with_dependents(["b"], resources) == {"b", "c"}


def by_level(chosen: list[Resource], everything: list[Resource]) -> list[list[str]]:
    return [[one.urn for one in level] for level in levels(chosen, needs(everything))]


def test_each_level_needs_only_what_is_in_those_before_it() -> None:
    everything = [
        resource("a"),
        resource("x"),
        resource("b", "a"),
        resource("y", "x"),
        resource("c", "b", "x"),
        resource("d", "a"),
    ]
    assert by_level(everything, everything) == [["a", "x"], ["b", "y", "d"], ["c"]]
    assert by_level([everything[0], everything[4]], everything) == [["a", "c"]], "only what one needs itself counts"


def test_replaced_resources_that_wait_for_deletion_have_levels_of_their_own() -> None:
    old_a, old_b, new_a, new_b = resource("a", delete=True), resource("b", "a", delete=True), resource("a"), resource("b", "a")
    everything = [new_a, new_b, old_a, old_b]
    found = levels([old_a, old_b], needs(everything))
    assert [[id(one) for one in level] for level in found] == [[id(old_a)], [id(old_b)]]


def test_resources_that_changed_sides_do_not_wait_for_each_other() -> None:
    everything = [resource("a"), resource("b", "a"), resource("b", delete=True), resource("a", "b", delete=True)]
    assert by_level(everything, everything) == [["a", "b"], ["b"], ["a"]]


def test_what_depends_on_a_component_depends_on_what_is_below_it() -> None:
    box, child = resource("box", custom=False), resource("child", parent="box")
    grandchild, user, sibling = resource("grandchild", parent="child"), resource("user", "box"), resource("s", parent="box")
    everything = [box, child, grandchild, user, sibling]
    assert by_level(everything, everything) == [["box"], ["child", "s"], ["grandchild"], ["user"]]
    assert all_needs(user, needs(everything)) == {id(box), id(child), id(grandchild)}


def test_what_is_gone_is_mentioned_nowhere() -> None:
    a, b = resource("a"), resource("b", "a", parent="a", property_dependencies={"v": ["a"], "w": ["x"]}, deleted_with="a")
    x = resource("x")
    after = repaired([(x, x), (a, None), (b, b)])
    assert after[0] is x
    assert after[1] == replace(b, dependencies=[], parent=None, property_dependencies={"w": ["x"]}, deleted_with=None)


# --- the checkpoint


class Slow:
    def __init__(self) -> None:
        self.saved: list[Snapshot] = []
        self.fail = False

    def save(self, snapshot: Snapshot) -> None:
        if self.fail:
            raise OSError("disk full")
        self.saved.append(snapshot)


async def test_saves_that_wait_for_one_being_written_become_one() -> None:
    sink = Slow()
    journal = Journal(Snapshot(), sink)
    await asyncio.gather(*(journal.begin(resource(f"r{i}"), OperationType.CREATING) for i in range(50)))
    assert len(sink.saved) <= 2
    assert len(sink.saved[-1].pending_operations) == 50


async def test_nothing_acts_where_its_record_cannot_be_written() -> None:
    sink = Slow()
    sink.fail = True
    journal = Journal(Snapshot(), sink)
    with pytest.raises(OSError, match="disk full"):
        await journal.begin(resource("a"), OperationType.CREATING)


async def test_creates_that_were_cut_off_stay_listed_and_other_operations_do_not() -> None:
    kinds = {"a": OperationType.CREATING, "b": OperationType.UPDATING}
    operations = [PendingOperation(resource(name), kind) for name, kind in kinds.items()]
    journal = Journal(Snapshot(pending_operations=operations), None)
    assert [one.resource.urn for one in journal.snapshot().pending_operations] == ["a"]


async def test_a_snapshot_taken_is_not_touched_by_what_comes_later() -> None:
    a, b = resource("a"), resource("b", "a")
    journal = Journal(Snapshot([a, b]), None)
    before = journal.snapshot()
    new = replace(a, inputs={"v": 2})
    journal.add(new, instead_of=a)
    journal.swap(new, replace(new, outputs={"w": 1}))
    journal.remove(b)
    assert before.resources == [a, b]
    assert journal.snapshot().resources == [replace(new, outputs={"w": 1})]


async def test_what_mentions_a_renamed_resource_follows_at_once() -> None:
    a, b = resource("a"), resource("b", "a", parent="a", property_dependencies={"v": ["a"]}, provider="p::1")
    journal = Journal(Snapshot([a, b]), None)
    journal.add(replace(a, urn="z"), instead_of=a)
    after = journal.snapshot().resources
    assert [one.urn for one in after] == ["z", "b"]
    assert after[1] == replace(b, dependencies=["z"], parent="z", property_dependencies={"v": ["z"]})
    assert journal.snapshot().resources[1] is after[1]
