"""The one comment on a pull request: what would change, in which stacks, and what that costs and touches. Pure.

Made of what `heliostat preview --json` wrote, in which secrets are hidden already. What is too long for the forge is shortened
from what matters least; the whole is the job's artefact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.engine.state.urns import name_of, type_of
from heliostat.gitops.markdown import code, fence, folded, text_of
from heliostat.gitops.shortening import fitted
from heliostat.spec.snapshot_settings import sample_text

MARK: Final = "<!-- heliostat: the plan of this pull request; edited by each run -->"
"""The first line of the comment, by which the next run finds it."""
_SIGNS: Final = {
    "create": "+",
    "update": "~",
    "replace": "±",
    "delete": "-",
    "import": "=",
    "read": "?",
}
_QUIET: Final = frozenset({"same", "refresh", "create-replacement", "delete-replaced"})
_SEVERITIES: Final = ("error", "warning", "info")
_MANY: Final = 12
"""Properties of a resource that are named."""


@dataclass(frozen=True)
class StackPlan:
    """What a preview said of a stack."""

    stack: str
    document: Mapping[str, Any] = field(default_factory=dict)
    """As `preview --json` writes it; empty where there was none."""
    failure: str = ""
    """Why there was none."""
    why: Sequence[str] = ()
    """Why the stack is affected."""


@dataclass(frozen=True)
class EnvironmentNote:
    """The branch's environment, where it has one."""

    name: str
    urls: Mapping[str, str] = field(default_factory=dict)
    """By workload."""
    goes: str = ""
    """When, for people."""
    sample: float | None = None
    """The share of the rows that its figures are of; None: all."""
    failure: str = ""
    going: Sequence[str] = ()
    """What goes on by itself, so that not all of it is up yet."""


@dataclass(frozen=True)
class PlanReport:
    """All that the comment tells."""

    commit: str
    stacks: Sequence[StackPlan] = ()
    environment: EnvironmentNote | None = None
    artefact: str = ""
    """Where the whole of it is, for people."""
    comparisons: Sequence[str] = ()
    """What `comparison` says of each workload."""


def comment(report: PlanReport, longest: int) -> str:
    """The text of the comment, of at most `longest` characters."""
    sections = list(_sections(report))
    whole = "\n\n".join([MARK, _headline(report), *(text for _, text in sections), _foot(report)])
    if len(whole) <= longest:
        return whole
    where = f": {report.artefact}" if report.artefact else ""
    note = f"_This is shortened; all of it is in the job's artefact{where}._"
    kept = [MARK, _headline(report), note, _foot(report)]
    room = longest - len("\n\n".join(kept))
    return "\n\n".join([MARK, _headline(report), note, *fitted(sections, room, len("\n\n")), _foot(report)])


def _headline(report: PlanReport) -> str:
    failed = sum(1 for each in report.stacks if _is_failed(each))
    changing = [each for each in report.stacks if _is_failed(each) or _changes(each)]
    if not report.stacks:
        return "### Nothing that an update would change"
    if not changing:
        return f"### No changes in {_counted(len(report.stacks), 'stack')}"
    told = f", {failed} cannot be previewed" if failed else ""
    return f"### {_counted(len(changing), 'stack')} would change{told}"


def _foot(report: PlanReport) -> str:
    return f"<sub>of commit {code(report.commit[:12])}; edited by each run</sub>"


def _sections(report: PlanReport) -> Iterator[tuple[int, str]]:
    """Each part with its rank: what is shortened first has the highest."""
    if report.stacks:
        yield 0, _overview(report.stacks)
    if report.environment is not None:
        yield 1, _environment(report.environment)
    yield from ((3, each) for each in report.comparisons)
    for stack in report.stacks:
        if stack.failure:
            yield 2, f"#### {text_of(stack.stack)}\n\n{fence(stack.failure)}"
            continue
        if violations := stack.document.get("policyViolations"):
            yield 2, "\n".join([f"#### {text_of(stack.stack)}: policies", "", *_violations(violations)])
        if told := list(_told(stack.document.get("diagnostics") or [])):
            yield 3, "\n".join([f"#### {text_of(stack.stack)}: what is told of it", "", *told])
        if steps := list(_steps(stack.document.get("steps") or [])):
            yield 4, folded(f"{stack.stack}: {_counted(len(steps), 'resource')}", "\n".join([*_HEADS, *steps]))


_HEADS: Final = ("| | resource | type | what changes |", "| --- | --- | --- | --- |")


def _overview(stacks: Sequence[StackPlan]) -> str:
    rows = ["| stack | changes | price a month | policies | why |", "| --- | --- | --- | --- | --- |"]
    for each in stacks:
        why = ", ".join(each.why[:3]) + (f" and {len(each.why) - 3} more" if len(each.why) > 3 else "")
        changes = _changes(each) or ("cannot be previewed" if _is_failed(each) else "none")
        rows.append(f"| {text_of(each.stack)} | {changes} | {_price(each)} | {_verdict(each)} | {text_of(why)} |")
    return "\n".join(rows)


def _is_failed(stack: StackPlan) -> bool:
    return bool(stack.failure) or stack.document.get("result") == "failed"


def _changes(stack: StackPlan) -> str:
    summary = stack.document.get("changeSummary") or {}
    return ", ".join(f"{_SIGNS.get(op, '')}{count} {op}" for op, count in sorted(summary.items()) if op not in _QUIET)


def _price(stack: StackPlan) -> str:
    price = stack.document.get("price")
    if not price:
        return ""
    before, after = (price[side] for side in ("before", "after"))
    least = after["monthAtMinimum"] - before["monthAtMinimum"]
    most = after["monthAtMaximum"] - before["monthAtMaximum"]
    figures = dict.fromkeys((f"{least:+,.0f}", f"{most:+,.0f}"))
    return f"{' to '.join(figures)} USD, to {after['monthAtMaximum']:,.0f}"


def _verdict(stack: StackPlan) -> str:
    violations = stack.document.get("policyViolations") or []
    mandatory = sum(1 for each in violations if each.get("level") == "mandatory")
    if violations:
        return f"{mandatory} broken, {len(violations) - mandatory} advisory"
    return "kept" if stack.document.get("policyPacks") else ""


def _violations(violations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    ordered = sorted(violations, key=lambda each: each.get("level") != "mandatory")
    return (
        f"- **{text_of(e['level'])}** {text_of(e['policy'])} ({text_of(name_of(e['urn']))}): {text_of(e['message'])}"
        for e in ordered
    )


def _told(diagnostics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What resources' own previews say: which rollout, how many replicas on top, what is trained. Errors come first."""
    of_resources = [each for each in diagnostics if each.get("urn") or each["severity"] != "info"]
    known = [each for each in of_resources if each["severity"] in _SEVERITIES]
    for each in sorted(known, key=lambda one: _SEVERITIES.index(one["severity"])):
        of = f" {text_of(name_of(each['urn']))}:" if each.get("urn") else ""
        weight = "" if each["severity"] == "info" else f" **{each['severity']}**"
        yield f"-{weight}{of} {text_of(each['message'])}"


def _steps(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for step in steps:
        if step["op"] in _QUIET:
            continue
        reasons = [
            *step.get("replaceReasons", ()),
            *(r for r in step.get("diffReasons", ()) if r not in step.get("replaceReasons", ())),
        ]
        named = ", ".join(reasons[:_MANY]) + (f" and {len(reasons) - _MANY} more" if len(reasons) > _MANY else "")
        sign = _SIGNS.get(step["op"], step["op"])
        yield f"| {sign} | {text_of(name_of(step['urn']))} | {text_of(type_of(step['urn']))} | {text_of(named)} |"


def _environment(note: EnvironmentNote) -> str:
    if note.failure:
        return f"#### The environment {code(note.name)} did not come up\n\n{fence(note.failure)}"
    lines = [f"- {text_of(name)}: {text_of(url)}" for name, url in sorted(note.urls.items())]
    lines += [f"- not there yet: {text_of(each)}" for each in note.going]
    goes = f" It goes {text_of(note.goes)}." if note.goes else ""
    sample = f" **Its figures are of {sample_text(note.sample)}.**" if note.sample is not None else ""
    foot = f"Requests and pushes are use.{goes}{sample}"
    return "\n".join([f"#### The environment {code(note.name)}", "", *lines, "", foot])


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
