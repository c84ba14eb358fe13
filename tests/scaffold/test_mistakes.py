"""What is wrong with a new repository or workload, all told at once."""

from __future__ import annotations

import pytest

from heliostat.scaffold import mistakes


def test_what_can_be_made_has_no_mistake() -> None:
    assert mistakes.of_repository("my-platform", "binary", [], "here") == []
    assert mistakes.of_repository("my-platform", "binary", [".git", ".venv"], "here") == []
    assert mistakes.of_workload("little-birds", "binary", [], "c.yaml", ["others"]) == []


def test_every_mistake_of_a_repository_is_told() -> None:
    name, kind, there = mistakes.of_repository("My Platform", "ranking", ["notes", "README.md"], "here")
    assert "'My Platform'" in name
    assert "--name" in name
    assert kind == "there is no kind 'ranking' of workload; there are: binary"
    assert "here is not empty, it holds README.md, notes: name another folder" in there


def test_of_many_files_a_few_are_named_and_the_others_counted() -> None:
    (told,) = mistakes.of_repository("p", "binary", list("abcdefgh"), "here")
    assert "it holds a, b, c, d, e and 3 more" in told


def test_every_mistake_of_a_workload_is_told() -> None:
    found = mistakes.of_workload("Birds", "ranking", ["tests/test_birds.py"], "configs/Pulumi.local.yaml", ["Birds"])
    assert [
        any(text in one for one in found) for text in ("'Birds': it takes", "'ranking'", "tests/test_birds.py is", "has a w")
    ]
    assert len(found) == 4


@pytest.mark.parametrize("name", ["-a", "a-", "a_b", "1a", "", "a" * 41, "ä", "a b"])
def test_a_name_is_one_that_every_part_of_a_platform_takes(name: str) -> None:
    assert mistakes.of_repository(name, "binary", [], "here")
    assert mistakes.of_workload(name, "binary", [], "c", [])


@pytest.mark.parametrize(("name", "why"), [("platform", "output"), ("class", "Python"), ("import", "Python")])
def test_a_workload_takes_no_name_that_means_something_else(name: str, why: str) -> None:
    (told,) = mistakes.of_workload(name, "binary", [], "c", [])
    assert why in told
