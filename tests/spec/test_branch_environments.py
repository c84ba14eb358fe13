"""What a branch's environment is called, and all that is made of the name."""

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from heliostat.engine.state.backend import StackRef
from heliostat.spec.base import Name
from heliostat.spec.branch_environments import PREFIX, environment_name, experiment_in, is_experiment_of, name_in

_NAME = TypeAdapter(Name)
_ALPHABETS = ("ab-/._1AB", "éÜﬀ日本𝔘\udcff\udc80-/x", "".join(map(chr, range(33, 127))), "-", "/a", "0123456789-")
_TAKEN = ("feature/x", "feature-x", "feature_x", "Feature/X", "feature/x/", "42", "-", "é", "e", "f" * 250)
_WORKLOADS = ("a", "flights", "w" * 39 + "x", "one-of-them-with-a-long-name-and-dashes")
_BRANCHES = 10_001


def hostile(random: Random) -> str:
    """A branch's name, likely to be read as another one's: from a few letters, short or long, or near to one that is taken."""
    letters = random.choice(_ALPHABETS)
    text = "".join(random.choices(letters, k=random.choice((1, 2, 5, 30, 240))))
    return random.choice((text, text, random.choice(_TAKEN) + random.choice(letters), random.choice(_TAKEN)))


@settings(max_examples=1, deadline=None, database=None)
@given(st.integers(0, 2**32))
def test_any_branch_has_names_of_its_own_that_everything_takes(seed: int):
    """More than 10,000 branches in one set, whose names and those of workloads in each are all different and all right."""
    random, branches = Random(seed), {*_TAKEN}
    while len(branches) < _BRANCHES:
        branches.add(hostile(random))
    names = {environment_name(branch) for branch in branches}
    assert len(names) == len(branches)
    assert all(_NAME.validate_python(name) == name and len(name) <= 31 for name in names)
    assert all(name.startswith(PREFIX) for name in names), "rights are given by it"
    assert all(StackRef.parse(name, "heliostat").name == name for name in names)
    made = {name_in(name, workload) for name in names for workload in _WORKLOADS}
    assert len(made) == len(names) * len(_WORKLOADS)
    assert all(_NAME.validate_python(name) == name for name in made)
    experiments = {experiment_in(name, workload): workload for name in names for workload in _WORKLOADS}
    assert len(experiments) == len(made)
    assert all(len(each) <= 72 and is_experiment_of(of, each) for each, of in experiments.items())
    assert not any(is_experiment_of("flights", each) for each, of in experiments.items() if of != "flights")


def test_a_name_begins_as_its_branch_does():
    assert re.fullmatch(r"env-feature-carriers-[a-z2-7]{10}", environment_name("feature/carriers"))
    assert environment_name("42-fix").startswith("env-42-fix-")
    assert environment_name("Ünïcode").startswith("env-unicode-")
    assert environment_name("日本").startswith("env-branch-")


@pytest.mark.parametrize("others", [("feature/x", "feature-x"), ("a", "A"), ("é", "e"), ("x" * 100, "x" * 101)])
def test_branches_that_are_read_alike_are_not_alike(others: tuple[str, str]):
    assert environment_name(others[0]) != environment_name(others[1])


def test_names_stay_the_same_over_releases():
    """A name that changed would leave what it names behind."""
    assert environment_name("feature/x") == "env-feature-x-ef6sx5i7c3"


def test_names_that_are_too_long_together_are_shortened_on_both_sides():
    environment = environment_name("feature/carriers-by-season")
    made = name_in(environment, "predictions-of-demand")
    assert len(made) <= 40
    assert made.startswith("predictions-of") and "env-feature-ca" in made
    assert name_in("x-abcdefghij", "flights") == "flights-x-abcdefghij"


def test_an_experiment_tells_its_workload_and_its_environment():
    assert experiment_in("x-abcdefghij", "flights") == "flights@x-abcdefghij"
    assert is_experiment_of("flights", "flights")
    assert is_experiment_of("flights", "flights@x-abcdefghij")
    assert not is_experiment_of("flights", "flights-late")
