"""An order of the rows of each group: labels are relevances, and the row with the largest prediction comes first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.codes import coded
from heliostat.ml.tasks.base import Array, Compute, Kind, Truth, one_a_row
from heliostat.spec.metrics import Needs
from heliostat.spec.tasks import Ranking


class RankingKind(Kind[Ranking]):
    """Of `Ranking`."""

    def checked(self, predictions: Any, rows: int) -> Array:  # noqa: D102
        return one_a_row(predictions, rows)

    def wrong_values(self, column: pa.ChunkedArray) -> dict[str, int]:  # noqa: D102
        below = int(pc.sum(pc.less(column.cast(pa.float64()), 0)).as_py() or 0)
        return {"is below 0, and a relevance is 0 or more,": below}

    def wrong_tables(self, tables: Any, label: str) -> Any:
        """That a split has no group that says anything of an order."""
        lacking = list(super().wrong_tables(tables, label))
        yield from lacking
        for split, table in tables.items() if not lacking else ():
            if table.num_rows and (text := self.unmet(self.truth(table, label)).get(Needs.ANY)):
                yield f"of the {split} split {text}: name the column by which rows are ranked against each other in `group`"

    def truth(self, table: pa.Table, label: str) -> Truth:  # noqa: D102
        return Truth(self.labels(table[label]), coded(table[self.task.group]).codes)

    def unmet(self, truth: Truth) -> dict[Needs, str]:  # noqa: D102
        groups = _groups(truth)
        if any(_tells(truth.labels[rows]) for rows in groups):
            return {}
        single = sum(len(rows) == 1 for rows in groups)
        return {
            Needs.ANY: f"no group says anything of an order: {single} of {len(groups)} are of one row, others' labels alike"
        }

    def statistics(self, truth: Truth) -> dict[str, Any]:  # noqa: D102
        groups = _groups(truth)
        sizes = [len(rows) for rows in groups]
        return {
            "groups": len(groups),
            "groupsOfOneRow": sum(size == 1 for size in sizes),
            "groupsThatTell": sum(_tells(truth.labels[rows]) for rows in groups),
            "largestGroup": max(sizes, default=0),
        }

    def metric(self, name: str) -> Compute:  # noqa: D102
        _, _, most = name.partition("_at_")
        return lambda truth, found: _ndcg(truth, found, int(most) if most else None)


def _groups(truth: Truth) -> list[Array]:
    """The rows of each group."""
    assert truth.groups is not None  # noqa: S101 - a ranking's truth has them
    order = np.argsort(truth.groups, kind="stable")
    return [rows for rows in np.split(order, np.flatnonzero(np.diff(truth.groups[order])) + 1) if len(rows)]


def _tells(labels: Array) -> bool:
    return len(labels) > 1 and bool((labels != labels[0]).any())


def _ndcg(truth: Truth, found: Array, most: int | None) -> float:
    from sklearn.metrics import ndcg_score

    told = [rows for rows in _groups(truth) if _tells(truth.labels[rows])]
    return float(np.mean([ndcg_score(truth.labels[None, rows], found[None, rows], k=most) for rows in told]))
