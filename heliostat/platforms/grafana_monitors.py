"""The dashboard's panels of what monitors found."""

from __future__ import annotations

from typing import Any

from heliostat.platforms.grafana_panels import APPLICATION, lines


def panels() -> list[Any]:
    """Alarms, findings, values beside their limits, fairness by group, and whether anybody looks."""
    return [_alarms(), _findings(), _values(), _fairness(), _looks()]


def _alarms() -> Any:
    asked = {"{{application}} {{severity}}": f"heliostat_monitor_alarms{{{APPLICATION}}}"}
    return lines("Open alarms", "Of monitors, by severity.", asked).decimals(0)


def _findings() -> Any:
    asked = {
        "{{application}} {{aspect}} {{state}}": f'heliostat_monitor_findings{{{APPLICATION}, state!="ok"}}',
        "{{application}} not delivered": f"heliostat_monitor_undelivered{{{APPLICATION}}}",
    }
    text = "Newest findings that are wrong or cannot be told, and notifications that no sink took."
    return lines("Findings", text, asked).decimals(0)


def _values() -> Any:
    others = f'{APPLICATION}, aspect!~"recency|fairness"'
    asked = {
        "{{application}} {{aspect}} {{subject}}": f"heliostat_monitor_value{{{others}}}",
        "limit of {{application}} {{aspect}} {{subject}}": f"heliostat_monitor_limit{{{others}}}",
    }
    return lines("What was found", "The newest figure of each metric and column, and its limit.", asked)


def _fairness() -> Any:
    asked = {
        "{{application}} {{subject}}": f'heliostat_monitor_value{{{APPLICATION}, aspect="fairness"}}',
        "limit of {{application}} {{subject}}": f'heliostat_monitor_limit{{{APPLICATION}, aspect="fairness"}}',
    }
    text = "What groups of people are treated differently by, and its limit."
    return lines("Fairness by group", text, asked)


def _looks() -> Any:
    asked = {
        "{{application}}": f"time() - heliostat_monitor_looked_timestamp_seconds{{{APPLICATION}}}",
        "{{application}} late by": f"time() - heliostat_monitor_next_look_timestamp_seconds{{{APPLICATION}}} > 0",
        "{{application}} newest {{subject}}": f'heliostat_monitor_value{{{APPLICATION}, aspect="recency"}}',
    }
    text = "Since a monitor looked, how late its next look is, and since the newest of what it looks at."
    return lines("Age", text, asked, unit="s")
