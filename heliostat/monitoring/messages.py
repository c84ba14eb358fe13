"""Alarms in words: JSON for programs, blocks for Slack, a mail, and the summary for whoever takes over. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from heliostat.monitoring.alarms import Alarm, Alarms, Event, Notification, Status
from heliostat.monitoring.deliveries import Outbox
from heliostat.spec.findings import Severity
from heliostat.spec.formatting import counted

_WORDS: Final = {
    Event.FIRING: "is wrong",
    Event.WORSE: "got worse",
    Event.REMINDER: "is still wrong",
    Event.ESCALATED: "is wrong, and nobody looks after it",
    Event.RESOLVED: "is right again",
}
_COLOURS: Final = {Severity.INFO: "#439fe0", Severity.WARNING: "#daa038", Severity.CRITICAL: "#a30200"}
_GREEN: Final = "#2eb886"
_MOST_TEXT: Final = 2_900
"""Slack takes 3,000 characters of a block."""


def title(notification: Notification) -> str:
    """One line, without a break: a mail's subject, a message's first line."""
    finding = notification.alarm.finding
    text = f"{finding.monitor}: {finding.aspect} of {finding.subject} {_WORDS[notification.event]}"
    level = "resolved" if notification.event is Event.RESOLVED else notification.alarm.severity
    return " ".join(f"[{level}] {text}".split())[:200]


def as_json(notification: Notification) -> dict[str, Any]:
    """What a webhook is sent."""
    return {"title": title(notification), **notification.model_dump(mode="json")}


def as_slack(notification: Notification) -> dict[str, Any]:
    """The same for Slack: text for a notification on a phone, blocks for the channel."""
    alarm = notification.alarm
    colour = _GREEN if notification.event is Event.RESOLVED else _COLOURS[alarm.severity]
    details = f"`{alarm.key}` since {alarm.since:%Y-%m-%d %H:%M} UTC"
    details += f", window {alarm.finding.window}" if alarm.finding.window else ""
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": _escaped(alarm.finding.text)[:_MOST_TEXT]}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": _escaped(details)}]},
    ]
    return {"text": _escaped(title(notification)), "attachments": [{"color": colour, "blocks": blocks}]}


def _escaped(text: str) -> str:
    """As Slack wants it: what is in a column's name is no markup and calls nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_mail(notification: Notification) -> tuple[str, str]:
    """Subject and text of a mail."""
    alarm = notification.alarm
    lines = [
        alarm.finding.text,
        "",
        f"alarm     {alarm.key}",
        f"severity  {alarm.severity}",
        f"since     {alarm.since:%Y-%m-%d %H:%M} UTC",
        *([f"window    {alarm.finding.window}"] if alarm.finding.window else []),
        f"found     {counted(alarm.breaches, 'time')} in a row" if alarm.breaches else "found     not in the newest window",
        *([f"taken by  {alarm.acknowledged_by}"] if alarm.acknowledged_by else []),
    ]
    return title(notification), "\n".join(lines) + "\n"


def summary(state: Alarms, outbox: Outbox, now: datetime) -> str:
    """What whoever is on call has to know, the worst first; a line an alarm."""
    alarms = [alarm for alarm in state.alarms.values() if alarm.is_open]
    alarms.sort(key=lambda alarm: (-alarm.severity.rank, alarm.status is Status.ACKNOWLEDGED, alarm.since, alarm.key))
    lines = [f"{len(alarms)} open alarms" if len(alarms) != 1 else "1 open alarm"] if alarms else ["No alarm is open."]
    lines += [_line(alarm, state, now) for alarm in alarms]
    pending = [alarm.key for alarm in state.alarms.values() if alarm.status is Status.PENDING]
    lines += [f"found, not yet often enough: {', '.join(sorted(pending))}"] if pending else []
    ended = [alarm.key for alarm in state.alarms.values() if alarm.resolved_at and now - alarm.resolved_at < timedelta(days=1)]
    lines += [f"right again since yesterday: {', '.join(sorted(ended))}"] if ended else []
    for each in state.silences:
        if now < each.until:
            lines.append(f"silent until {each.until:%Y-%m-%d %H:%M} UTC: {each.keys} ({each.who}: {each.why})")
    lines += _undelivered(outbox)
    return "\n".join(lines) + "\n"


def _line(alarm: Alarm, state: Alarms, now: datetime) -> str:
    taken = (
        f", {alarm.acknowledged_by} looks after it" if alarm.acknowledged_by and alarm.status is Status.ACKNOWLEDGED else ""
    )
    quiet = ", silenced" if any(each.holds(alarm.key, now) for each in state.silences) else ""
    return f"  {alarm.severity:<8}  {alarm.key}  for {_age(now - alarm.since)}{taken}{quiet}\n            {alarm.finding.text}"


def _undelivered(outbox: Outbox) -> list[str]:
    lines = []
    for sink in sorted({each.sink for each in outbox.waiting if each.attempts}):
        last = [each for each in outbox.waiting if each.sink == sink and each.attempts][-1]
        lines.append(f"{sink} does not take what it is told, {last.attempts} attempts: {last.error}")
    for sink in sorted({each.sink for each in outbox.lost}):
        of_it = [each for each in outbox.lost if each.sink == sink]
        lines.append(f"{sink} never got {len(of_it)} notifications: {of_it[-1].error}")
    return lines


def _age(since: timedelta) -> str:
    hours = int(since.total_seconds() // 3600)
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h {int(since.total_seconds() // 60) % 60} min"
