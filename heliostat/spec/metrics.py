"""The figures by which models are judged, by name: which direction is better, and on which labels each is defined. Pure.

The names are those of scikit-learn's scorers without their `neg_`, and of its functions where there is no scorer. What
computes them is `heliostat.ml.tasks`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

FORMER: Final[Mapping[str, str]] = {
    "pr_auc": "average_precision",
    "brier": "brier_score",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
}
"""What metrics were called before. Configs, reports and ledgers may say it still, and it means the same."""

_FORMER_OF: Final = {name: former for former, name in FORMER.items()}
_LOWER: Final = frozenset({
    *("log_loss", "brier_score", "mean_bias", "hamming_loss", "mean_pinball_loss", "mean_coverage_error", "crossing_rate"),
    *("mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "median_absolute_error"),
    *("mean_absolute_percentage_error",),
})  # fmt: skip
_UNLIKE: Final = frozenset({"roc_auc", "average_precision", "r2", "d2_pinball_score", "matthews_corrcoef"})
_EVERY_CLASS: Final = frozenset({"roc_auc_ovr", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted"})
_PARAMETER: Final = re.compile(r"_(at_[1-9]\d*|0\.\d+)$")
"""What a name says of its metric beside which it is: `ndcg_at_5`, `mean_pinball_loss_0.9`."""


class Needs(StrEnum):
    """What labels a metric is defined on."""

    ANY = "any"
    UNLIKE = "unlike"
    """Those that are not all alike."""
    EVERY_CLASS = "every class"
    """Those among which each declared class is."""


def canonical(name: str) -> str:
    """A metric's name, by that or by its former one."""
    return FORMER.get(name, name)


def former(name: str) -> str:
    """What a metric was called at first: what is kept under digests of it is found by that."""
    return _FORMER_OF.get(name, name)


def higher_is_better(name: str) -> bool:
    """Whether more of one of the library's metrics is better; of one that is none of them, yes."""
    return _PARAMETER.sub("", canonical(name)) not in _LOWER


def needs(name: str) -> Needs:
    """What labels one of the library's metrics is defined on."""
    plain = _PARAMETER.sub("", canonical(name))
    return Needs.UNLIKE if plain in _UNLIKE else Needs.EVERY_CLASS if plain in _EVERY_CLASS else Needs.ANY


MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,63}$"), AfterValidator(canonical)]
"""A metric of the workload's task, or one of its own. A former name becomes the present one."""
