"""A branch's model and data beside production's, from what both stacks' states and stores say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heliostat.gitops.comparison import Side, SideAddresses, addresses_in, comparison
from heliostat.gitops.evaluations import document_at, side_of
from heliostat.gitops.model_card import Card, card_text

REPORT = {"candidate": {"overall": {"roc_auc": 0.75}, "slices": {"origin": {"JFK": {"value": 0.7}}}}, "dataset": "d1"}
OLDER = {"candidate": {"overall": {"roc_auc": 0.74}, "slices": {"origin": {"LGA": {"value": 0.6}}}}, "dataset": "d2"}
OURS = Side("models:/flights/4", REPORT, "d" * 64, {"train": 90, "test": 10}, {"a": "double", "b": "string"})
THEIRS = Side("models:/flights/3", OLDER, "e" * 64, {"train": 80, "test": 10}, {"a": "int64"})


def test_metrics_rows_and_types_are_beside_each_other():
    text = comparison("flights", OURS, THEIRS, "prod")
    assert "| roc\\_auc | 0.75 | 0.74 |" in text and "models:/flights/3 in prod" in text
    assert "| JFK | 0.7 |  |" in text and "| LGA |  | 0.6 |" in text
    assert "different test data" in text
    assert "| train | 90 | 80 |" in text
    assert "| a | double | int64 |" in text and "| b | string | not there |" in text


def test_figures_of_a_sample_say_so_whoever_s_they_are():
    ours, theirs = ({**report, "sample": 0.1} for report in (REPORT, OLDER))
    mine = comparison("flights", Side(OURS.version, ours), THEIRS, "prod")
    assert "**This branch's figures are of a sample of 10 % of the rows.**" in mine and "Prod" not in mine
    others = comparison("flights", OURS, Side(THEIRS.version, theirs), "prod")
    assert "**Those of prod are of a sample of 10 % of the rows.**" in others and "This branch's" not in others
    assert "sample" not in comparison("flights", OURS, THEIRS, "prod")


def test_slices_that_differ_most_come_first_and_how_many_are_left_out_is_said():
    ours, theirs = ({f"s{number:02}": {"value": 0.9 - number / 1000} for number in range(40)} for _ in range(2))
    ours["s30"], ours["new"] = {"value": 0.2}, {"value": 0.1}
    sides = [{"candidate": {"overall": {}, "slices": {"origin": each}}} for each in (ours, theirs)]
    text = comparison("bees", Side("models:/bees/2", sides[0]), Side("models:/bees/1", sides[1]), "prod")
    rows = text[text.index("| origin |") :].splitlines()[2:]
    assert rows[0] == "| s30 | 0.2 | 0.87 |" and len(rows) == 21
    assert rows[-1] == "| and 21 more |  |  |"
    card = card_text(
        Card("models:/bees/2", "r", "d", report={**sides[0], "incumbent": sides[1]["candidate"]}), "p", "bees", None, ""
    )
    assert card.split("| origin |")[1].splitlines()[2] == "| s30 | 0.2 | 0.87 |" and "| and 11 more |  |  |" in card


def test_what_is_the_same_is_said_in_a_line():
    assert comparison("flights", OURS, OURS, "prod").splitlines()[2:] == [
        "The model is the same: models:/flights/4.",
        "",
        f"The data is the same: {'d' * 12}.",
    ]


def test_what_nobody_knows_is_left_out():
    assert comparison("flights", Side(), Side(), "prod") == ""
    alone = comparison("flights", OURS, Side(), "prod")
    assert "| roc\\_auc | 0.75 |  |" in alone and "rows" not in alone


def resource(kind: str, name: str, **outputs: Any) -> dict[str, Any]:
    return {"type": f"heliostat:index:{kind}", "outputs": {"name": name, **outputs}}


def test_a_side_is_read_from_the_state_and_the_store(tmp_path: Path):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    columns = {"a": {"type": "double", "required": True}, "b": {"type": "string", "required": False}}
    (tmp_path / "schema.json").write_text(json.dumps({"columns": columns}))
    resources = [
        resource("ModelVersion", "bees", servedModelUri="models:/bees/1"),
        resource("ModelVersion", "flights", servedModelUri="models:/flights/4", reportUri=f"{tmp_path.as_uri()}/report.json"),
        {**resource("Dataset", "flights", rows={"train": 1}), "delete": True},
        resource(
            "Dataset",
            "flights",
            address={"digest": "d" * 64},
            rows={"train": 90},
            schemaUri=f"{tmp_path.as_uri()}/schema.json",
        ),
    ]
    found = side_of(addresses_in(resources, "flights"), {"uri": tmp_path.as_uri()})
    assert found == Side("models:/flights/4", REPORT, "d" * 64, {"train": 90}, {"a": "double", "b": "string, may be missing"})
    assert addresses_in(resources, "ants") == SideAddresses(Side())


def test_what_is_not_to_be_read_from_here_is_not_known(tmp_path: Path):
    store = {"uri": tmp_path.as_uri()}
    (tmp_path / "broken.json").write_text("{")
    for uri in ("", f"{tmp_path.as_uri()}/gone.json", f"{tmp_path.as_uri()}/broken.json", "s3://elsewhere/report.json"):
        assert document_at(uri, store) is None
    assert document_at(f"{tmp_path.as_uri()}/broken.json", None) is None
