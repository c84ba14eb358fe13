from typing import Annotated, Literal

import pytest
from plugin_process import plain, struct
from pydantic import Field, model_validator

from heliostat.provider.checks import check, parsed, require_all
from heliostat.provider.differences import Kind, differences, without
from heliostat.provider.properties import SECRET, SIGNATURE, UNKNOWN, Properties, carried, decode, encode, path_of, text_of
from heliostat.provider.resource import PermanentError
from heliostat.spec.base import Model, Parameters
from heliostat.spec.serving_resources import ApplicationInputs


class Small(Model):
    kind: Literal["small"] = "small"
    size_mib: Annotated[int, Field(ge=1)] = 1


class Large(Model):
    kind: Literal["large"] = "large"
    share: float = 0.5


class Inputs(Model):
    name: Annotated[str, Field(pattern="^[a-z]+$")]
    max_count: Annotated[int, Field(le=10)] = 3
    shape: Annotated[Small | Large, Field(discriminator="kind")] = Small()
    parts: tuple[Small, ...] = ()
    values: Parameters = {}
    note: str | None = None

    @model_validator(mode="after")
    def _not_both(self):
        if self.name == "x" and self.max_count > 5:
            raise ValueError("x goes to 5 at most")
        return self


def secret(value):
    return {SIGNATURE: SECRET, "value": value}


def failures(values):
    return {failure.path: failure.reason for failure in check(Inputs, decode(struct(values)))[1]}


@pytest.mark.parametrize("text", ["a", "a.b", "a[0].b", 'a["x.y"]', 'a["say \\"hi\\""][2]'])
def test_a_path_reads_back_as_it_was_written(text):
    assert text_of(path_of(text)) == text


def test_secrets_are_unwrapped_and_wrapped_again_where_they_were():
    wire = struct({"a": secret({"b": [1, "two"]}), "c": [secret("s"), "t"]})
    read = decode(wire)
    assert read.values == {"a": {"b": [1, "two"]}, "c": ["s", "t"]}
    assert plain(encode(read)) == plain(wire)


def test_whole_numbers_are_ints():
    values = decode(struct({"a": [1.0, 1.5, True]})).values["a"]
    assert [(type(value), value) for value in values] == [(int, 1), (float, 1.5), (bool, True)]


def test_an_output_that_holds_a_secret_of_the_inputs_is_secret():
    source = Properties({"password": "hush-hush"}, frozenset({("password",)}))
    told = carried({"password": "hush-hush", "url": "http://u:hush-hush@h", "port": 1}, source)
    assert told.secrets == {("password",), ("url",)}


def test_every_mistake_is_told_at_once_with_its_path():
    found = failures(
        {"name": "No", "maxCount": 11, "shape": {"kind": "small", "sizeMib": 0}, "parts": [{}, {"sizeMb": 1}], "nmae": 1}
    )
    assert found.keys() == {"name", "maxCount", "shape.sizeMib", "parts[1].sizeMb", "nmae"}
    assert found["maxCount"] == "input should be less than or equal to 10 (given: 11)"
    assert "did you mean `name`" in found["nmae"]


def test_a_mistake_inside_a_strategy_stands_at_its_place_without_the_kind_s_name_and_alone():
    steps = [{"weight": 50, "analysis": {"checks": [{"kind": "latency"}]}}, {"weight": UNKNOWN}, {"weight": 20}]
    _, mistakes = check(ApplicationInputs, Properties({"strategy": {"kind": "canary", "steps": steps, "affinity": {}}}))
    assert {each.path for each in mistakes if each.reason != "is missing"} == {
        "strategy.steps[0].analysis.checks[0]",
        "strategy.steps[2].weight",
        "strategy.affinity",
    }


def test_what_is_missing_is_told_beside_other_mistakes():
    assert failures({"maxCount": "many"}).keys() == {"name", "maxCount"}


def test_what_is_missing_alone_is_left_to_who_acts_since_a_failed_dependency_looks_the_same():
    assert failures({}) == {}
    with pytest.raises(PermanentError, match="name is missing"):
        require_all(Inputs, Properties({}))


def test_what_is_not_known_yet_is_not_missing():
    require_all(Inputs, Properties({"name": UNKNOWN}))


def test_a_mistake_in_a_secret_does_not_show_it():
    assert "hush" not in str(failures({"name": secret("HUSH hush")}))


def test_the_normal_form_has_the_defaults():
    values, mistakes = check(Inputs, Properties({"name": "a", "parts": [{}]}))
    assert not mistakes
    assert values == {
        "name": "a",
        "maxCount": 3,
        "shape": {"kind": "small", "sizeMib": 1},
        "parts": [{"kind": "small", "sizeMib": 1}],
        "values": {},
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": UNKNOWN}, {"name": UNKNOWN, "maxCount": 3}),
        ({"name": "a", "shape": UNKNOWN}, {"shape": UNKNOWN}),
        ({"name": "a", "shape": {"kind": UNKNOWN}}, {"shape": {"kind": UNKNOWN}}),
        ({"name": "a", "shape": {"kind": "large", "share": UNKNOWN}}, {"shape": {"kind": "large", "share": UNKNOWN}}),
        ({"name": "a", "shape": {"kind": "small", "sizeMib": UNKNOWN}, "maxCount": 4}, {"maxCount": 4}),
        ({"name": "a", "parts": [{"sizeMib": UNKNOWN}]}, {"parts": [{"sizeMib": UNKNOWN}]}),
        ({"name": UNKNOWN, "values": {"a": 1, "b": True}}, {"values": {"a": 1, "b": True}}),
    ],
)
def test_what_is_not_known_yet_is_tolerated_wherever_it_stands(values, expected):
    normal, mistakes = check(Inputs, Properties(values))
    assert not mistakes
    assert {key: normal[key] for key in expected} == expected


def test_mistakes_beside_what_is_not_known_yet_are_told():
    assert failures({"name": UNKNOWN, "maxCount": 11, "shape": {"kind": "small", "sizeMib": UNKNOWN, "sise": 1}}).keys() == {
        "maxCount",
        "shape.sise",
    }


def test_a_rule_over_several_inputs_waits_until_all_are_known():
    assert failures({"name": "x", "maxCount": 6}) == {"": "x goes to 5 at most"}
    assert failures({"name": "x", "maxCount": UNKNOWN}) == {}


def test_a_state_of_another_version_loses_what_is_no_longer_known():
    assert parsed(Inputs, {"name": "a", "gone": 1}, "the state").name == "a"
    with pytest.raises(PermanentError, match=r"the state does not fit .*maxCount"):
        parsed(Inputs, {"name": "a", "maxCount": 99}, "the state")


def test_differences_have_paths_into_what_is_nested():
    old = {"a": 1, "b": {"c": 1, "d": 1}, "l": [1, 2], "gone": 1, "same": [{"x": 1}]}
    new = {"a": 1, "b": {"c": 2, "e": 1}, "l": [1, 3, 4], "new": 1, "same": [{"x": 1}]}
    found = {text_of(d.path): d.kind for d in differences(old, new, {})}
    assert found == {
        "b.c": Kind.UPDATE,
        "b.d": Kind.DELETE,
        "b.e": Kind.ADD,
        "l[1]": Kind.UPDATE,
        "l[2]": Kind.ADD,
        "gone": Kind.DELETE,
        "new": Kind.ADD,
    }


def test_what_is_the_same_does_not_differ():
    assert differences({"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}], "url": "x"}) == []


def test_a_world_that_drifted_from_what_is_declared_differs():
    found = differences({"n": 2}, {"n": 2}, {"n": 1, "url": "x"})
    assert [(d.path, d.of_inputs) for d in found] == [(("n",), False)]


def test_ignored_paths_and_unchanged_keys_do_not_differ():
    found = differences({"a": {"b": 1, "c": 1}, "l": [{"x": 1}], "k": 1}, {"a": {"b": 2, "c": 2}, "l": [{"x": 2}], "k": 2}, {})
    assert {text_of(d.path) for d in without(found, {"k"}, ["a.b", "l[*].x"])} == {"a.c"}
