"""A Grafana dashboard over the controller's metrics, made from code so that it cannot fall behind them unseen."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.dashboard import Dashboard

from heliostat.platforms import grafana_monitors
from heliostat.platforms.grafana_panels import APPLICATION as _APPLICATION
from heliostat.platforms.grafana_panels import HEIGHT as _HEIGHT
from heliostat.platforms.grafana_panels import SOURCE as _SOURCE
from heliostat.platforms.grafana_panels import WIDTH as _WIDTH
from heliostat.platforms.grafana_panels import Expressions
from heliostat.platforms.grafana_panels import lines as _lines
from heliostat.platforms.grafana_panels import queries as _queries
from heliostat.spec.routes import PREDICT

TITLE = "Heliostat: rollouts"
_PREDICTIONS = f'{_APPLICATION}, route="{PREDICT}"'

Panel = stat.Panel | statetimeline.Panel | timeseries.Panel


def as_json() -> str:
    """The dashboard as Grafana (11 and later) imports it."""
    return JSONEncoder(sort_keys=True, indent=2).encode(build()) + "\n"


def build() -> Dashboard:
    """The dashboard."""
    made = (
        boards.Dashboard(TITLE)
        .uid("heliostat-rollouts")
        .description("What serves, what is on its way, and what it is held against.")
        .tags(["heliostat", "ray-serve", "rollouts"])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(boards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_applications())
        .annotation(_rollbacks())
    )
    number = 0
    for title, panels in _rows().items():
        number += 1
        made = made.with_row(boards.Row(title).id(number))
        for panel in panels:
            number += 1
            made = made.with_panel(panel.id(number))
    return made.build()


def _rows() -> dict[str, list[Panel]]:
    return {
        "Now": _now(),
        "Rollouts": [_phase(), _ended()],
        "Traffic": [_weights(), _rates(), _failures(), _latencies(), _rejections(), _others()],
        "Analyses": [_values(), _verdicts()],
        "Capacity": [_replicas(), _steps()],
        "Tasks": [_tasks(), _ended_tasks(), _oldest_task(), _task_workers()],
        "Post-processing": [_postprocessed(), _removed()],
        "Personal data": [_without_consent()],
        "Requests and the schema": [_unexpected()],
        "Monitors": grafana_monitors.panels(),
    }


def _applications() -> boards.QueryVariable:
    return (
        boards.QueryVariable("application")
        .label("Application")
        .datasource(_SOURCE)
        .query("label_values(heliostat_traffic_weight, application)")
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


def _rollbacks() -> boards.AnnotationQuery:
    return (
        boards.AnnotationQuery()
        .name("Rolling back")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(f'heliostat_rollout_phase{{{_APPLICATION}, phase="rolling-back"}} == 1')
    )


def _now() -> list[Panel]:
    up = {"1": ("up", "green"), "0": ("down", "red")}
    return [
        _figure("Traffic plane", "Whether HAProxy takes requests.", {"": "min(heliostat_traffic_plane_up)"}, words=up),
        _figure(
            "Cluster and database",
            "Whether Ray answers the controller, and whether the controller can write down what it decides.",
            {"Ray": "min(heliostat_cluster_answers)", "database": "min(heliostat_store_writes)"},
            words=up,
        ),
        _figure(
            "Last shift",
            "From the decision until every new request went to its new version.",
            {"{{application}}": f"heliostat_shift_seconds{{{_APPLICATION}}}"},
            unit="s",
            limits=((None, "green"), (0.01, "orange"), (0.1, "red")),
        ),
        _figure(
            "Refused",
            "Declarations that were rolled back and are not shipped again by themselves.",
            {"{{application}}": f"heliostat_refused{{{_APPLICATION}}}"},
            limits=((None, "green"), (1, "orange")),
        ),
        _figure(
            "Ledger entries waiting",
            "Entries that the object store has not taken yet.",
            {"": "max(heliostat_ledger_waiting)"},
            limits=((None, "green"), (1, "orange"), (20, "red")),
        ),
        _figure(
            "Predictions failed, last 5 minutes",
            "Share of the predictions that were not made. Pages, probes and what the contract rejects are none.",
            {"": _failed_share("", "5m")},
            unit="percentunit",
            limits=((None, "green"), (0.001, "orange"), (0.01, "red")),
        ),
    ]


def _failed_share(by: str, window: str) -> str:
    grouped = f" by ({by})" if by else ""
    failed = f"sum{grouped} (rate(heliostat_failed_requests_total{{{_PREDICTIONS}}}[{window}]))"
    return f"{failed} / (sum{grouped} (rate(heliostat_requests_total{{{_PREDICTIONS}}}[{window}])) > 0)"


def _phase() -> Panel:
    panel = statetimeline.Panel().show_value(common.VisibilityMode.AUTO).row_height(0.9).merge_values(True).span(16)
    asked = {"{{application}}: {{phase}}": f"heliostat_rollout_phase{{{_APPLICATION}}} == 1"}
    in_it = {"1": ("here", "blue")}
    return _filled(panel, "Phase", "Where each rollout is.", asked).height(_HEIGHT).mappings([_mapping(in_it)])


def _ended() -> Panel:
    asked = {
        "{{application}}: {{strategy}}, {{result}}": (
            f"sum by (application, strategy, result) (increase(heliostat_rollouts_total{{{_APPLICATION}}}[$__range]))"
        )
    }
    return _figure("Ended in this time", "Rollouts by strategy and result.", asked).span(8).height(_HEIGHT)


def _weights() -> Panel:
    panel = _lines(
        "Traffic by version",
        "Share of the new requests that each version gets.",
        {"{{application}} {{version}}": f"heliostat_traffic_weight{{{_APPLICATION}}}"},
        unit="percentunit",
    )
    stacked = looks.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
    return panel.stacking(stacked).fill_opacity(35).max(1).line_interpolation(common.LineInterpolation.STEP_AFTER)


def _rates() -> Panel:
    asked = f"sum by (application, version) (rate(heliostat_requests_total{{{_PREDICTIONS}}}[$__rate_interval]))"
    return _lines("Predictions", "A second, by version.", {"{{application}} {{version}}": asked}, unit="reqps")


def _rejections() -> Panel:
    rejected, asked = (
        f"sum by (application, version) (rate(heliostat_{name}requests_total{{{_PREDICTIONS}}}[$__rate_interval]))"
        for name in ("rejected_", "")
    )
    said = "Share of what each version was asked to predict that its contract does not take (400, 413, 415, 422)."
    share = f"{rejected} / (({asked} + {rejected}) > 0)"
    return _lines("Rejected", said, {"{{application}} {{version}}": share}, unit="percentunit")


def _others() -> Panel:
    others = f'{_APPLICATION}, route!="{PREDICT}"'
    asked = f"sum by (application, version, route) (rate(heliostat_requests_total{{{others}}}[$__rate_interval]))"
    said = "Pages, probes, and what is not there: a second, by version and route. Nothing is judged by them."
    return _lines("Other requests", said, {"{{application}} {{version}} {{route}}": asked}, unit="reqps")


def _failures() -> Panel:
    asked = {"{{application}} {{version}}": _failed_share("application, version", "$__rate_interval")}
    said = "Share of each version's predictions that were not made: a status of 500 or above, or no answer."
    return _lines("Predictions failed", said, asked, unit="percentunit")


def _latencies() -> Panel:
    counted = f"rate(heliostat_request_duration_seconds_bucket{{{_PREDICTIONS}}}[$__rate_interval])"
    buckets = f"sum by (application, version, le) ({counted})"
    version = "{{application}} {{version}}"
    asked = {f"p{100 * share:g} {version}": f"histogram_quantile({share}, {buckets})" for share in (0.5, 0.95, 0.99)}
    return _lines(
        "Latency", "Of the predictions that were made, as the traffic plane measures it, by version.", asked, unit="s"
    )


def _values() -> Panel:
    asked = {"{{application}} {{check}}, {{side}}": f"heliostat_analysis_value{{{_APPLICATION}}}"}
    return _lines("Checks: what was measured", "Of the candidate and of what serves.", asked)


def _verdicts() -> Panel:
    panel = statetimeline.Panel().show_value(common.VisibilityMode.AUTO).merge_values(True).span(_WIDTH)
    asked = {"{{application}} {{check}}": f"heliostat_analysis_verdict{{{_APPLICATION}}}"}
    words = {"1": ("pass", "green"), "0": ("open", "yellow"), "-1": ("fail", "red")}
    said = "Passed, failed, or not decided."
    return _filled(panel, "Checks: verdicts", said, asked).height(_HEIGHT).mappings([_mapping(words)])


def _replicas() -> Panel:
    asked = {"{{application}} {{version}}, {{state}}": f"heliostat_replicas{{{_APPLICATION}}}"}
    panel = _lines("Replicas", "Asked for and healthy, by version.", asked)
    return panel.line_interpolation(common.LineInterpolation.STEP_AFTER).decimals(0)


def _steps() -> Panel:
    asked = {"{{application}}": f"heliostat_rollout_step{{{_APPLICATION}}}"}
    panel = _lines("Step", "Which of its steps each rollout is at, from 0.", asked)
    return panel.line_interpolation(common.LineInterpolation.STEP_AFTER).decimals(0)


def _tasks() -> Panel:
    asked = {"{{application}} {{state}}": f"heliostat_tasks{{{_APPLICATION}}}"}
    return _lines("Tasks", "Handed in and not answered yet, and dead letters.", asked)


def _ended_tasks() -> Panel:
    counted = f"sum by (application, state) (rate(heliostat_tasks_ended_total{{{_APPLICATION}}}[$__rate_interval]))"
    return _lines("Tasks that ended", "A second, by how.", {"{{application}} {{state}}": counted}, unit="ops")


def _oldest_task() -> Panel:
    asked = {"{{application}}": f"heliostat_tasks_oldest_seconds{{{_APPLICATION}}}"}
    return _lines("Oldest task", "How long the task waits that waits longest.", asked, unit="s")


def _task_workers() -> Panel:
    asked = {"{{application}} {{version}} {{state}}": f"heliostat_task_workers{{{_APPLICATION}}}"}
    return _lines("Workers of tasks", "Replicas of workers: asked for, running, and the most there may be.", asked).decimals(0)


def _postprocessed() -> Panel:
    by = "application, step, outcome, reason"
    of_steps = f'heliostat_postprocessed_answers_total{{{_APPLICATION}, outcome!="seen"}}'
    counted = f"sum by ({by}) (rate({of_steps}[$__rate_interval]))"
    text = "Answers a second that steps changed, were passed over on, or failed on, with the reason."
    return _lines("Steps", text, {"{{application}} {{step}} {{outcome}} {{reason}}": counted}, unit="ops")


def _removed() -> Panel:
    rate = f"rate(heliostat_postprocessing_removed_total{{{_APPLICATION}}}[$__rate_interval])"
    counted = f"sum by (application, step, reason) ({rate})"
    text = "Entries a second that steps took out of answers."
    return _lines("Removed by steps", text, {"{{application}} {{step}} {{reason}}": counted}, unit="ops")


def _without_consent() -> Panel:
    counted = f"rate(heliostat_requests_without_consent_total{{{_APPLICATION}}}[$__rate_interval])"
    asked = {"{{application}} {{version}}": f"sum by (application, version) ({counted})"}
    return _lines("Requests without consent", "A second: answered, and not kept.", asked, unit="ops")


def _unexpected() -> Panel:
    counted = f"rate(heliostat_requests_unexpected_total{{{_APPLICATION}}}[$__rate_interval])"
    broken = {"{{application}} {{field}}: {{expectation}}": f"sum by (application, field, expectation) ({counted})"}
    return _lines("Requests beyond the schema", "A second: refused, or answered all the same.", broken, unit="ops")


def _figure(
    title: str,
    description: str,
    asked: Expressions,
    *,
    unit: str = "short",
    limits: tuple[tuple[float | None, str], ...] = ((None, "blue"),),
    words: Mapping[str, tuple[str, str]] | None = None,
) -> stat.Panel:
    thresholds = boards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE)
    thresholds = thresholds.steps([dashboard.Threshold(value=value, color=colour) for value, colour in limits])
    panel = stat.Panel().unit(unit).thresholds(thresholds).mappings([_mapping(words)] if words else [])
    panel = panel.reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]))
    panel = panel.graph_mode(common.BigValueGraphMode.NONE).color_mode(common.BigValueColorMode.VALUE).no_value("\N{EN DASH}")
    panel = panel.title(title).description(description).datasource(_SOURCE).span(4).height(4)
    for query in _queries(asked):
        panel = panel.with_target(query.instant())
    return panel


def _filled(panel: statetimeline.Panel, title: str, description: str, asked: Expressions) -> statetimeline.Panel:
    panel = panel.title(title).description(description).datasource(_SOURCE)
    for query in _queries(asked):
        panel = panel.with_target(query)
    return panel


def _mapping(words: Mapping[str, tuple[str, str]]) -> dashboard.ValueMap:
    options = {
        value: dashboard.ValueMappingResult(text=text, color=colour, index=number)
        for number, (value, (text, colour)) in enumerate(words.items())
    }
    return dashboard.ValueMap(options=options)
