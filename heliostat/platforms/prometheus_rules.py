"""Prometheus rules over the controller's metrics, made from code as the dashboard is."""

from __future__ import annotations

from typing import Any, Final

from heliostat.spec.routes import PREDICT

_FAILED: Final = 0.05
"""The share of predictions that may fail."""
_LATE_SECONDS: Final = 7200
"""How late a look may be by its schedule: it may take an hour by itself."""


def as_yaml() -> str:
    """A file of rules as Prometheus loads it."""
    import io

    from ruamel.yaml import YAML

    text = io.StringIO()
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({"groups": [{"name": "heliostat-monitors", "rules": _monitors()},
                          {"name": "heliostat-platform", "rules": _platform()}]}, text)  # fmt: skip
    return text.getvalue()


def _monitors() -> list[dict[str, Any]]:
    return [
        _rule(
            "HeliostatMonitorCritical", 'heliostat_monitor_alarms{severity="critical"} > 0', "0m", "critical",
            "{{ $labels.application }}: {{ $value }} critical alarms of its monitor are open",
        ),
        _rule(
            "HeliostatMonitorWarning", 'heliostat_monitor_alarms{severity="warning"} > 0', "0m", "warning",
            "{{ $labels.application }}: {{ $value }} alarms of its monitor are open",
        ),
        _rule(
            "HeliostatMonitorSilent", f"time() - heliostat_monitor_next_look_timestamp_seconds > {_LATE_SECONDS}", "10m",
            "warning",
            "{{ $labels.application }}: a look of its monitor is late by {{ $value | humanizeDuration }}",
        ),
        _rule(
            "HeliostatMonitorNotDelivered", "heliostat_monitor_undelivered > 0", "1h", "warning",
            "{{ $labels.application }}: a sink does not take what it is told: {{ $value }} notifications",
        ),
    ]  # fmt: skip


def _platform() -> list[dict[str, Any]]:
    failed, requests = (
        f'sum by (application) (rate({name}{{route="{PREDICT}"}}[5m]))'
        for name in ("heliostat_failed_requests_total", "heliostat_requests_total")
    )
    return [
        _rule(
            "HeliostatPredictionsFail", f"{failed} / {requests} > {_FAILED}", "5m", "critical",
            "{{ $labels.application }}: {{ $value | humanizePercentage }} of the predictions fail",
        ),
        _rule(
            "HeliostatTrafficPlaneDown", "heliostat_traffic_plane_up == 0", "1m", "critical",
            "HAProxy does not run: no client is answered",
        ),
        _rule(
            "HeliostatClusterSilent", "heliostat_cluster_answers == 0", "5m", "critical",
            "Ray does not answer: nothing is placed, healed or rolled out",
        ),
        _rule(
            "HeliostatStateNotWritten", "heliostat_store_writes == 0", "1m", "critical",
            "what the controller decides cannot be written down: see its log and its disk",
        ),
        _rule(
            "HeliostatDeadLetters", _grown('heliostat_tasks_ended_total{state="failed"}'), "0m", "warning",
            '{{ $labels.application }}: {{ printf "%.0f" $value }} tasks failed for good',
        ),
    ]  # fmt: skip


def _grown(counter: str) -> str:
    """That a counter of applications has grown of late.

    One that comes into being with its first count has no increase; nor has it grown where nothing at all was known before.
    """
    now, then = (f"max by (application) ({counter}{offset})" for offset in ("", " offset 15m"))
    new = f"({now} unless {then}) > 0 and on () max(heliostat_store_writes offset 15m)"
    return f"sum by (application) (increase({counter}[15m])) > 0 or {new}"


def _rule(name: str, expression: str, wait: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": name, "expr": expression, "for": wait, "labels": {"severity": severity}, "annotations": {"summary": summary},
    }  # fmt: skip
