"""What every panel of the dashboard is made of."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import prometheus, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
APPLICATION: Final = 'application=~"$application"'
WIDTH: Final = 12
HEIGHT: Final = 8

Expressions = Mapping[str, str]
"""By the legend that each gets."""


def lines(title: str, description: str, asked: Expressions, unit: str = "short") -> timeseries.Panel:
    """Lines over time, one a series."""
    panel = timeseries.Panel().unit(unit).axis_soft_min(0).line_width(2).fill_opacity(8)
    panel = panel.show_points(common.VisibilityMode.NEVER)
    panel = panel.tooltip(looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    panel = panel.legend(looks.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM))
    panel = panel.title(title).description(description).datasource(SOURCE).span(WIDTH).height(HEIGHT)
    for query in queries(asked):
        panel = panel.with_target(query)
    return panel


def queries(asked: Expressions) -> list[prometheus.Dataquery]:
    """A query an expression."""
    return [
        prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend).datasource(SOURCE)
        for letter, (legend, expression) in zip(ascii_uppercase, asked.items(), strict=False)
    ]
