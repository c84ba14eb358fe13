"""Cards of models and of data: made of what is known, with what people wrote, and with what is missing said."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from heliostat.cli.commands import card as command
from heliostat.cli.commands import heliostat
from heliostat.governance.cards import DataFacts, ModelFacts, data_card, model_card
from heliostat.spec.card import CardReview
from heliostat.spec.ensembles import Combined, Member
from heliostat.spec.training_report import TrainingReport, WorkerTimes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import Directory
from workloads.flights.contract import CONTRACT as FLIGHTS

EVALUATION = {
    "metric": "roc_auc", "task": "binary", "rows": 1200,
    "candidate": {
        "overall": {"roc_auc": 0.71234, "log_loss": 0.5}, "slices": {"carrier": {"U|A": {"rows": 600, "value": 0.7}}},
        "fairness": [{
            "column": "sex", "metric": "demographic_parity_difference", "limit": 0.1, "value": 0.05, "leftOut": {"x": 3},
            "groups": {"a": {"rows": 500.0, "selectionRate": 0.5, "truePositiveRate": None, "falsePositiveRate": 0.1}},
        }],
    },
    "baseline": {"overall": {"roc_auc": 0.6}}, "incumbent": None,
}  # fmt: skip
REVIEW = CardReview(by="ada", on=dt.date(2026, 11, 3), of=4, model={"Intended use": "Loans."}, data={"Upkeep": "Monthly."})
MANIFEST = {
    "digest": "d" * 64, "rows": {"train": 10, "test": 5}, "label": "late", "columns": {"late": "double", "a|b": "string"},
    "notes": ["3 rows left out"], "parents": [{"digest": "p" * 64, "erasure": "e" * 32}],
}  # fmt: skip


def no_registry(uri, stack):
    raise RetryableError("MLflow does not answer")


def test_a_model_card_has_figures_slices_groups_and_what_people_wrote():
    facts = ModelFacts("loans", 4, "Is it granted?", verdict="accepted", parameters={"depth": 3}, evaluation=EVALUATION)
    text = model_card(facts, REVIEW)
    assert "# loans, version 4" in text and "Is it granted?" in text and "Loans." in text
    assert "Reviewed by ada on 2026-11-03, as of version 4." in text
    assert "| roc_auc (judged by) | 0.7123 | 0.6 |" in text and "| log_loss | 0.5 |  |" in text
    assert r"| U\|A | 600 | 0.7 |" in text
    assert "| a | 500 | 0.5 |  | 0.1 |" in text and "Too few rows to be compared: x (3)." in text
    assert "| parameter depth | 3 |" in text
    assert "\n\n\n" not in text and "> **" not in text
    assert yaml.safe_load(text.split("---")[1])["pipeline_tag"] == "binary"


def test_the_card_of_a_model_that_answers_together_with_others_names_them():
    members = (Member(share=0.65), Member(model="models:/loans/3", share=0.35))
    report = TrainingReport(
        name="loans", run_id="r", seconds=9.0, workers=(),
        combined=Combined(members=members, metric="roc_auc", alone=0.70, together=0.72),
    )  # fmt: skip
    told = "it answers as 65% its own model and 35% models:/loans/3: roc_auc 0.7200 on the validation split, alone 0.7000"
    assert f"| ensemble | {told} |" in model_card(ModelFacts("loans", 4, training=report), CardReview())
    alone = report.model_copy(update={"combined": None})
    assert "| ensemble |" not in model_card(ModelFacts("loans", 4, training=alone), CardReview())


def test_a_card_says_what_the_model_is_and_on_what_hardware_it_was_trained():
    workers = [
        WorkerTimes(rank=rank, node=f"10.0.0.{rank}", node_memory_mib=memory, threads=8, seconds=9.0, peak_memory_mib=1_300.4,
                    accelerator="NVIDIA H200")
        for rank, memory in enumerate((65_536.0, 131_072.0))
    ]  # fmt: skip
    report = TrainingReport(name="loans", run_id="r1", seconds=90.2, workers=tuple(workers))
    facts = ModelFacts("loans", 4, architecture="loans.Forest: 40 | trees", training=report)
    text = model_card(facts, CardReview())
    assert r"| model | loans.Forest: 40 \| trees |" in text and "| training | 90 s on 2 workers |" in text
    told = "2 nodes of 64 to 128 GiB, CPU threads a worker: 8, accelerator NVIDIA H200, peak 1,300 MiB a worker"
    assert f"| hardware | {told} |" in text
    alone = report.model_copy(update={"workers": (WorkerTimes(rank=0, node="a", threads=1, seconds=1.0),)})
    text = model_card(ModelFacts("loans", 4, training=alone), CardReview())
    assert "| hardware | CPU threads a worker: 1 |" in text and "| training | 90 s on 1 worker |" in text
    assert "hardware" not in model_card(ModelFacts("loans", 4), CardReview())


def test_others_words_in_a_card_are_no_markup():
    odd = "<script>x</script>"
    slices = {odd: {odd: {"rows": 600, "value": 0.7}}}
    fairness = [
        {**EVALUATION["candidate"]["fairness"][0], "column": odd, "leftOut": {odd: 3}, "oneLabel": {odd: 4}, "missing": 5}
    ]
    evaluation = {**EVALUATION, "candidate": {**EVALUATION["candidate"], "slices": slices, "fairness": fairness}}
    text = model_card(ModelFacts("loans", 4, parameters={odd: odd}, evaluation=evaluation), CardReview())
    text += data_card(DataFacts("loans", {**MANIFEST, "columns": {odd: "double"}, "notes": [odd]}), CardReview())
    assert odd not in text and text.count("&lt;script&gt;") >= 11
    assert "all their rows have one label: &lt;script&gt;x&lt;/script&gt; (4)" in text and "5 rows have no value" in text


def test_what_is_not_known_or_not_written_is_said():
    text = model_card(ModelFacts("loans", 5), CardReview())
    assert "Nobody has reviewed this." in text and "It was not evaluated" in text and "Not measured" in text
    assert text.count("Nobody has written this yet: see workloads/loans/card.yaml") == 4
    assert "The review is of version 4; this is version 5." in model_card(ModelFacts("loans", 5), REVIEW)


def test_a_data_card_has_columns_parents_and_that_its_bytes_are_gone():
    statistics = {"train": {"columns": {"a|b": {"missing": 2}}, "classBalance": {"1.0": 7}}}
    text = data_card(DataFacts("loans", {**MANIFEST, "erased": {"successor": "s" * 64}}, statistics), REVIEW)
    assert r"| a\|b | string | 2 |" in text and "1.0 in 7 rows" in text and "Monthly." in text
    assert f"`{'p' * 64}`, without the rows of a person" in text and "3 rows left out" in text
    assert "Its bytes are gone" in text


def test_the_reviewed_part_is_begun_once_and_its_mistakes_are_told(tmp_path):
    command._begin(tmp_path)
    review = command._review(tmp_path)
    assert review == CardReview() and len(review.unwritten) == 8
    with pytest.raises(PermanentError, match="is not written over"):
        command._begin(tmp_path)
    (tmp_path / "card.yaml").write_text("by: ada\nof: many\nuse: x\n")
    with pytest.raises(PermanentError, match=r"of: .*use: "):
        command._review(tmp_path)


def test_what_the_state_and_the_store_know_is_found_and_what_is_gone_is_none(tmp_path, monkeypatch):
    store = Directory(tmp_path)
    store.put("evaluations/loans/x.json", json.dumps(EVALUATION).encode())
    store.put("datasets/loans/d/manifest.json", json.dumps(MANIFEST).encode())
    urn = "urn:pulumi:local::heliostat::heliostat:index:{}::loans"
    outputs = {
        "ModelVersion": {"version": 4, "verdict": "accepted", "reportUri": store.uri("evaluations/loans/x.json")},
        "Dataset": {"address": {"uri": store.uri("datasets/loans/d")}, "statisticsUri": store.uri("gone.json")},
    }
    resources = [
        {"type": f"heliostat:index:{kind}", "urn": urn.format(kind), "outputs": each} for kind, each in outputs.items()
    ]
    monkeypatch.setattr(command, "_known", lambda stack: (store, resources))
    monkeypatch.setattr(command, "_registered", no_registry)
    monkeypatch.setattr(command, "_of_contract", lambda workload: {})
    facts = command._model_facts("loans", None)
    assert (facts.version, facts.evaluation, facts.training) == (4, EVALUATION, None)
    assert command._data_facts("loans", None).manifest == MANIFEST
    with pytest.raises(PermanentError, match="has no Dataset 'other'"):
        command._data_facts("other", None)


def test_the_whole_command_writes_a_card_with_what_the_contract_says(tmp_path, monkeypatch):
    store = Directory(tmp_path)
    version = {"type": "heliostat:index:ModelVersion", "urn": "urn:x::flights", "outputs": {"version": 4}}
    monkeypatch.setattr(command, "_known", lambda stack: (store, [version]))
    monkeypatch.setattr(command, "_registered", no_registry)
    monkeypatch.chdir(Path(__file__).parents[2])
    written = CliRunner().invoke(heliostat, ["card", "flights"], catch_exceptions=False)
    assert written.exit_code == 0 and "# flights, version 4" in written.output
    assert FLIGHTS.description in written.output
    assert "| model | workloads.flights.predictor." in written.output, "which class answers"
    told = json.loads(CliRunner().invoke(heliostat, ["card", "flights", "--json"], catch_exceptions=False).output)
    assert (told["version"], told["description"]) == (4, FLIGHTS.description)
    assert command._of_contract("none-of-that-name") == {}, "a contract that cannot be imported here costs no card"
