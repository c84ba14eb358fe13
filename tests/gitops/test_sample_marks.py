"""Figures of a sample say so wherever people read them, and a version of one is not promoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments_world import EnvironmentsWorld

from heliostat.cli.operators.health import PlatformStatus
from heliostat.gitops.model_card import Card, card_text
from heliostat.gitops.plan_comment import EnvironmentNote, PlanReport, comment
from heliostat.gitops.promotion import RefusedVersionError, require_whole
from heliostat.governance.cards import DataFacts, ModelFacts, data_card, model_card
from heliostat.spec.card import CardReview
from heliostat.spec.data_sets import SnapshotManifest
from heliostat.spec.stack import ConfigError, parse

REPORT = {"candidate": {"overall": {"roc_auc": 0.75}}, "metric": "roc_auc", "rows": 9}
SAMPLED = {**REPORT, "sample": 0.1}
TEXT = "a sample of 10 % of the rows"


def test_a_pull_request_s_text_says_it_above_the_figures():
    text = card_text(Card("models:/bees/7", "run", "d" * 64, report=SAMPLED), "prod", "bees", None, "")
    assert text.index(f"**The figures are of {TEXT}.**") < text.index("roc\\_auc")
    assert "sample" not in card_text(Card("models:/bees/7", "run", "d" * 64, report=REPORT), "prod", "bees", None, "")


def test_the_comment_says_it_beside_the_environment():
    def said(sample: float | None) -> str:
        return comment(PlanReport("c", (), EnvironmentNote("x", {"bees": "http://x"}, sample=sample)), 10_000)

    assert f"**Its figures are of {TEXT}.**" in said(0.1) and "sample" not in said(None)


def test_the_cards_of_a_model_and_of_data_say_it():
    manifest = {"digest": "d" * 64, "rows": {}, "label": "late", "columns": {}}
    assert TEXT in model_card(ModelFacts("bees", 1, "", evaluation=SAMPLED), CardReview())
    assert TEXT in data_card(DataFacts("bees", {**manifest, "sample": 0.1}), CardReview())
    assert "sample" not in model_card(ModelFacts("bees", 1, "", evaluation=REPORT), CardReview())
    assert "sample" not in data_card(DataFacts("bees", manifest), CardReview())


def test_the_status_of_a_stack_says_it():
    assert PlatformStatus("x", "local", samples={"bees": 0.1}).advice == (
        f"bees is trained and judged on {TEXT}: its figures are of that",
    )
    assert PlatformStatus("x", "local").advice == () and PlatformStatus("x", "local").as_json()["samples"] == {}


def test_a_listing_of_data_sets_says_what_is_a_sample_and_what_is_elsewhere():
    given = {"name": "bees", "digest": "d" * 64, "uri": "file:///o", "label": "late", "rows": {}, "columns": {}}
    assert SnapshotManifest(**given).marks == ()
    both = SnapshotManifest(**given, sample=0.1, origin={"uri": "s3://production/heliostat"})
    assert both.marks == (TEXT, "by reference: its rows are in s3://production/heliostat")


def test_an_environment_remembers_that_its_template_asks_for_a_sample(tmp_path: Path):
    world = EnvironmentsWorld(tmp_path)
    assert world.environments.up("a", "", []).sample is None
    world.template.write_text(f"{world.template.read_text()}  heliostat:snapshots: {{sample: 0.1}}\n")
    assert world.environments.up("a", "", []).sample == 0.1


def test_a_version_of_a_sample_is_not_promoted():
    require_whole(Card("models:/bees/7", "run", ""))
    with pytest.raises(RefusedVersionError, match=rf"was trained and judged on {TEXT}: .*snapshots\.sample"):
        require_whole(Card("models:/bees/7", "run", "", sample=0.1))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "heliostat:snapshots: it says nothing: name a `stack`, a `sample`, or both"),
        ({"sample": 1}, "heliostat:snapshots.sample"),
        ({"sample": 0}, "heliostat:snapshots.sample"),
        ({"stack": "production"}, "heliostat:snapshots.stack"),
        ({"stack": "o/p/s", "share": 0.1}, "heliostat:snapshots.share"),
    ],
)
def test_what_is_wrong_with_the_section_is_told_with_its_place(given: dict[str, object], told: str):
    with pytest.raises(ConfigError) as caught:
        parse({"platformStack": "o/p/platform", "workloads": {"bees": {}}, "snapshots": given}, "f", ["bees"])
    assert told in str(caught.value)
