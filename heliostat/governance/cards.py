"""Model cards and data cards, made of what is known: the registry, the evaluation, the training and the snapshot. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import jinja2

from heliostat.spec.card import CardReview
from heliostat.spec.data_sets import Parent
from heliostat.spec.formatting import counted
from heliostat.spec.snapshot_settings import sample_text
from heliostat.spec.training_report import TrainingReport


@dataclass(frozen=True)
class ModelFacts:
    """What a model card is made of."""

    name: str
    version: int
    description: str = ""
    architecture: str = ""
    """What the model is: the class that answers, and what it says of itself."""
    verdict: str = ""
    run_id: str = ""
    data_digest: str = ""
    code_digest: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] | None = None
    """What `heliostat.jobs.evaluate` wrote; None of a pinned version, or where it is gone."""
    training: TrainingReport | None = None
    uri: str = ""
    """`models:/<name>/<version>`"""
    notes: tuple[str, ...] = ()
    """What a reader has to know before the figures."""


@dataclass(frozen=True)
class DataFacts:
    """What a data card is made of."""

    name: str
    manifest: Mapping[str, Any]
    statistics: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    """The snapshots that it was made of."""
    notes: tuple[str, ...] = ()
    """What a reader has to know before the figures."""


def model_card(facts: ModelFacts, review: CardReview) -> str:
    """The card of a model version, in Markdown."""
    evaluation = facts.evaluation or {}
    candidate = evaluation.get("candidate", {})
    others = {name: part for name in ("baseline", "incumbent") if (part := evaluation.get(name))}
    metric = evaluation.get("metric")
    figures = [
        {
            "metric": name,
            "judged": name == metric,
            "value": value,
            "others": [_overall(each, name) for each in others.values()],
        }
        for name, value in candidate.get("overall", {}).items()
    ]
    slices = [
        {"column": column, "groups": [
            {"value": value, "rows": each["rows"], "figure": each["value"]} for value, each in values.items()
        ]}
        for column, values in candidate.get("slices", {}).items()
    ]  # fmt: skip
    told = {
        "name": facts.name, "version": facts.version, "description": facts.description, "task": evaluation.get("task"),
        "folder": facts.name.replace("-", "_"), "made": _made(facts), "figures": figures, "others": list(others),
        "test_rows": evaluation.get("rows"), "metric": metric, "slices": slices, "fairness": candidate.get("fairness", []),
        "unevaluated": "it is pinned, or its evaluation is gone",
    }  # fmt: skip
    return _rendered("model-card.md", told, review, [*facts.notes, *_warnings(review, facts.version), *_of_sample(evaluation)])


def data_card(facts: DataFacts, review: CardReview) -> str:
    """The card of a snapshot, in Markdown."""
    manifest, training = facts.manifest, facts.statistics.get("train", {})
    columns = [
        {"name": name, "type": kind, "missing": training.get("columns", {}).get(name, {}).get("missing", "")}
        for name, kind in manifest["columns"].items()
    ]
    balance = training.get("classBalance") or {}
    told = {
        "name": facts.name, "digest": manifest["digest"], "folder": facts.name.replace("-", "_"), "rows": manifest["rows"],
        "label": manifest["label"], "columns": columns, "notes": manifest.get("notes", []),
        "parents": _parents(facts),
        "balance": ", ".join(f"{value} in {count} rows" for value, count in balance.items()),
    }  # fmt: skip
    warnings = [*facts.notes, *_warnings(review, None), *_of_sample(manifest)]
    if erased := manifest.get("erased"):
        warnings.append(f"Its bytes are gone: a person's rows were deleted, and {erased['successor']} has its place.")
    return _rendered("data-card.md", told, review, warnings)


def _parents(facts: DataFacts) -> list[dict[str, str]]:
    """The snapshots that it was made of, with the deletion where it is what one left."""
    erasures = {each["digest"]: each["erasure"] for each in facts.manifest.get("parents", [])}
    names = {each.digest: each.name for each in facts.parents} | dict.fromkeys(erasures, facts.name)
    return [{"name": name, "digest": digest, "erasure": erasures.get(digest, "")} for digest, name in names.items()]


def _made(facts: ModelFacts) -> list[tuple[str, str]]:
    """How a model was made, as labels and values."""
    found = [("model", facts.architecture), ("gate", facts.verdict), ("data", facts.data_digest)]
    found += [("code", facts.code_digest), ("run", facts.run_id)]
    if (training := facts.training) is not None:
        found.append(("training", f"{training.seconds:.0f} s on {counted(len(training.workers), 'worker')}"))
        found.append(("hardware", _hardware(training)))
        if training.usd is not None:
            found.append(("cost", f"{training.usd:.2f} USD"))
        if training.combined is not None:
            found.append(("ensemble", training.combined.text))
    found += [(f"parameter {name}", str(value)) for name, value in sorted(facts.parameters.items())]
    return [(label, value) for label, value in found if value]


def _hardware(training: TrainingReport) -> str:
    """What a model was trained on, as its workers found it; empty where they said nothing."""
    workers = training.workers
    if not workers:
        return ""
    threads, memory = {each.threads for each in workers}, {each.node_memory_mib for each in workers}
    parts = (
        [f"{counted(len({each.node for each in workers}), 'node')} of {_range(memory, 1 / 1024)} GiB"] if max(memory) else []
    )
    parts += [f"CPU threads a worker: {_range(threads)}"]
    parts += sorted({f"accelerator {each.accelerator}" for each in workers if each.accelerator})
    peak = max(each.peak_memory_mib for each in workers)
    return ", ".join([*parts, *([f"peak {peak:,.0f} MiB a worker"] if peak else [])])


def _range(values: Set[float], scale: float = 1.0) -> str:
    """One figure, or the least and the most of several."""
    shown = [f"{value * scale:,.4g}" for value in (min(values), max(values))]
    return shown[0] if shown[0] == shown[1] else " to ".join(shown)


def _warnings(review: CardReview, version: int | None) -> list[str]:
    if not review.by:
        return ["Nobody has reviewed this."]
    if version is not None and review.of is not None and review.of != version:
        return [f"The review is of version {review.of}; this is version {version}."]
    return []


def _of_sample(told: Mapping[str, Any]) -> list[str]:
    share = told.get("sample")
    return [f"This is {sample_text(share)}, and so are its figures."] if share is not None else []


def _overall(part: Mapping[str, Any], metric: str) -> float | None:
    value = part.get("overall", {}).get(metric)
    return None if value is None else float(value)


def _rendered(template: str, facts: Mapping[str, Any], review: CardReview, warnings: Sequence[str]) -> str:
    sections = {"model": review.model, "data": review.data}
    shown = {"by": review.by, "on": review.on, "of": review.of, "license": review.license, "sections": sections}
    text = _environment().get_template(template).render(facts=facts, review=shown, warnings=warnings)
    lines = text.splitlines()
    # Templates leave blank lines where they have nothing to say; Markdown needs one at most.
    kept = [line for at, line in enumerate(lines) if line.strip() or (at and lines[at - 1].strip())]
    return "\n".join(kept).strip() + "\n"


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    # Markdown, which shows text as it is: in others' words is escaped what would be markup, or end a cell of a table.
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701
    )
    environment.filters["cell"] = lambda value: escape(str(value), quote=False).replace("|", "\\|").replace("\n", " ")
    environment.filters["figure"] = _figure
    return environment


def _figure(value: Any) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4g}"
