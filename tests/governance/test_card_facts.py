"""What a card says is of the version that it is about, and not of the training that came last."""

from __future__ import annotations

import json

import pytest
from test_cards import EVALUATION

from heliostat.cli.operators import card_facts
from heliostat.gitops.model_card import Card
from heliostat.governance.cards import model_card
from heliostat.spec.card import CardReview
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import Directory

INCUMBENT = {"overall": {"roc_auc": 0.69, "log_loss": 0.52}, "slices": {"carrier": {"UA": {"rows": 600, "value": 0.68}}}}
OWN = {**EVALUATION, "candidate": {"overall": {"roc_auc": 0.691, "log_loss": 0.52}, "slices": {}}, "rows": 900}


class World:
    """A stack whose training came last is run r2, and what is known of its model version."""

    def __init__(self, folder):
        self.store = Directory(folder)
        self.registry = None
        self.asked = []
        self.put("evaluations/loans/x.json", {**EVALUATION, "incumbent": INCUMBENT})
        self.put("training/loans/report.json", {"seconds": 300})

    def put(self, key, content):
        self.store.put(key, json.dumps(content).encode())

    def resources(self, verdict, run, **more):
        outputs = {
            "ModelVersion": {
                "version": 4, "verdict": verdict, "servedRunId": run, "servedModelUri": "models:/loans/4",
                "reportUri": self.store.uri("evaluations/loans/x.json"), "servedDataDigest": "a" * 64, **more,
            },
            "TrainJob": {"runId": "r2", "parameters": {"depth": 7}, "code": {"digest": "c" * 64}},
            "Dataset": {"address": {"uri": self.store.uri("datasets/loans/d"), "digest": "d" * 64}},
        }  # fmt: skip
        return [
            {"type": f"heliostat:index:{kind}", "urn": f"urn:x::{kind}::loans", "outputs": each}
            for kind, each in outputs.items()
        ]

    def known_of(self, uri):
        self.asked.append(uri)
        if isinstance(self.registry, Exception):
            raise self.registry
        return self.registry

    def card(self, verdict, run, **more):
        found = card_facts.model_facts("loans", self.store, self.resources(verdict, run, **more), self.known_of)
        return model_card(found, CardReview())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_of_an_accepted_candidate_the_training_is_its_own_and_nobody_is_asked(world):
    text = world.card("accepted", "r2")
    assert "| roc_auc (judged by) | 0.7123 |" in text and "| parameter depth | 7 |" in text and world.asked == []


def test_where_what_serves_was_kept_the_figures_of_the_refused_candidate_are_not_its_own(world):
    world.registry = Card("models:/loans/4", "r1", "a" * 64, {"depth": "3"}, OWN, "s3://x/own.json")
    text = world.card("kept", "r1")
    assert world.asked == ["models:/loans/4"]
    assert "0.7123" not in text and "| roc_auc (judged by) | 0.691 |" in text and "On the 900 rows" in text
    assert "| parameter depth | 3 |" in text and "parameter depth | 7" not in text and "c" * 64 not in text
    assert "| gate | accepted; the candidate after it was refused |" in text


def kept_with_reports(world, training="1" * 64):
    """A version of run r1, and the reports of three trainings."""
    world.registry = Card("models:/loans/4", "r1", "a" * 64, {}, OWN, "s3://x/own.json", training=training)
    world.put(f"trainings/loans/{'1' * 32}.report.json", {"name": "loans", "runId": "r1", "seconds": 41, "workers": []})
    world.put(f"trainings/loans/{'2' * 32}.report.json", {"name": "loans", "runId": "r2", "seconds": 7, "workers": []})
    world.put(f"trainings/loans/{'3' * 32}.report.json", {"seconds": "of an earlier release"})


def test_a_version_that_was_kept_has_the_report_of_its_own_training_and_no_other_is_read(world, monkeypatch):
    kept_with_reports(world)
    read, get = [], world.store.get
    monkeypatch.setattr(world.store, "get", lambda key: read.append(key) or get(key))
    monkeypatch.setattr(world.store, "list", lambda prefix="": pytest.fail(f"{prefix} was listed"))
    assert "| training | 41 s on 0 workers |" in world.card("kept", "r1")
    assert [key for key in read if key.startswith("trainings/")] == [f"trainings/loans/{'1' * 32}.report.json"]


@pytest.mark.parametrize("training", ["", "2" * 64, "3" * 64, "4" * 64], ids=["unknown", "run again", "damaged", "gone"])
def test_a_training_without_a_report_of_its_run_is_told_without_one(world, training):
    kept_with_reports(world, training)
    assert "| training |" not in world.card("kept", "r1")


@pytest.mark.parametrize("error", [RetryableError("it is away"), PermanentError("it is gone")])
def test_without_a_registry_what_was_kept_has_what_was_measured_beside_the_candidate(world, error):
    world.registry = error
    text = world.card("kept", "r1")
    assert "| roc_auc (judged by) | 0.69 | 0.6 |" in text and "0.7123" not in text
    assert "| UA | 600 | 0.68 |" in text and "incumbent" not in text
    assert "parameter depth" not in text and f"> **How it was trained is not known here: {error}**" in text


def test_a_pinned_version_has_what_the_registry_knows_of_it_and_else_nothing(world):
    world.registry = Card("models:/loans/4", "r0", "a" * 64, {"depth": "5"}, OWN, "s3://x/own.json")
    text = world.card("pinned", "r0", reportUri="")
    assert "0.691" in text and "| parameter depth | 5 |" in text and "| gate | pinned |" in text
    world.registry = RetryableError("it is away")
    text = world.card("pinned", "r0", reportUri="")
    assert "It was not evaluated" in text and "parameter" not in text
    assert "the gate has no `fairness`" not in text, "of a gate nothing is known then"


def test_what_a_rollback_brought_back_is_said(world):
    text = world.card("accepted", "r2")
    assert "serves" not in text
    facts = card_facts.model_facts("loans", world.store, world.resources("accepted", "r2"), world.known_of)
    assert card_facts.of_serving(facts, {"models:/loans/4": 1.0}) == facts
    assert card_facts.of_serving(facts, {}) == facts
    text = model_card(card_facts.of_serving(facts, {"models:/loans/3": 1.0}), CardReview())
    assert "> **It is not what serves: all traffic is on models:/loans/3.**" in text
    text = model_card(card_facts.of_serving(facts, {"models:/loans/3": 0.9, "models:/loans/4": 0.1}), CardReview())
    assert "> **A part of the traffic is on models:/loans/3.**" in text


def test_the_data_of_another_version_than_serves_are_said_to_be_so(world):
    world.put("datasets/loans/d/manifest.json", {"digest": "d" * 64})
    found = card_facts.data_facts("loans", world.store, world.resources("kept", "r1"))
    assert found.notes == (f"What serves, version 4, was trained on other data: {'a' * 64}.",)
    same = world.resources("accepted", "r2", servedDataDigest="d" * 64)
    assert card_facts.data_facts("loans", world.store, same).notes == ()


def test_a_model_of_others_has_its_card_too(world):
    world.registry = Card("models:/owls/2", "r7", "", {"layers": "12"})
    outputs = {"version": 2, "servedModelUri": "models:/owls/2"}
    resources = [{"type": "heliostat:index:ExternalModel", "urn": "urn:x::owls", "outputs": outputs}]
    found = card_facts.model_facts("owls", world.store, resources, world.known_of)
    text = model_card(found, CardReview())
    assert "# owls, version 2" in text and "| parameter layers | 12 |" in text and "It was not evaluated" in text
    with pytest.raises(PermanentError, match="has no ModelVersion 'geese'"):
        card_facts.model_facts("geese", world.store, resources, world.known_of)
