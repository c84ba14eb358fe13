"""What the names of pandas, NumPy and scikit-learn mean for the rows that they are called on."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Meaning(StrEnum):
    """What a call does to rows."""

    ROWWISE = "row-wise"
    """Each row of what comes out depends on that row alone."""
    AGGREGATE = "aggregate"
    """What comes out is of all rows together: fitted in a training, kept for serving."""
    FILTER = "filter"
    """Rows are left out or change places; each that stays keeps its index."""
    STRUCTURE = "structure"
    """Other rows come out."""
    ORDERED = "ordered"
    """Each row depends on the rows before or behind it."""
    UNKNOWN = "unknown"


def _named(meaning: Meaning, names: str) -> dict[str, Meaning]:
    return dict.fromkeys(names.split(), meaning)


METHODS: Final = {
    **_named(
        Meaning.ROWWISE,
        "fillna astype assign rename replace clip round abs isin isna isnull notna notnull where mask copy add sub "
        "mul div truediv "
        "floordiv mod pow radd rsub rmul rdiv eq ne lt le gt ge between to_numpy to_frame toarray todense tolist "
        "ravel flatten "
        "squeeze get add_prefix add_suffix set_axis combine_first filter select_dtypes reindex eval insert pop reshape view "
        "keys items contains startswith endswith lower upper strip len split extract slice title capitalize cat zfill "
        "day_name month_name normalize total_seconds isocalendar to_pydatetime dot values map drop fill",
    ),
    **_named(
        Meaning.AGGREGATE,
        "mean median std var min max sum mode quantile count nunique unique value_counts describe corr cov skew kurt "
        "kurtosis prod "
        "idxmax idxmin argmax argmin sem any all agg aggregate nonzero item size ptp first last to_dict",
    ),
    **_named(
        Meaning.FILTER, "dropna query drop_duplicates sample head tail nlargest nsmallest sort_values sort_index truncate"
    ),
    **_named(
        Meaning.STRUCTURE,
        "merge join pivot pivot_table melt stack unstack explode resample append reset_index set_index transpose repeat take",
    ),
    **_named(
        Meaning.ORDERED,
        "shift diff rolling expanding ewm cumsum cumprod cummax cummin cumcount pct_change rank ffill bfill interpolate",
    ),
}
"""Methods of frames, series and arrays, by name."""

NUMPY: Final = {
    **_named(
        Meaning.ROWWISE,
        "log log1p log2 log10 exp expm1 sqrt cbrt square abs absolute fabs sign sin cos tan arcsin arccos arctan "
        "arctan2 sinh cosh "
        "tanh "
        "hypot deg2rad rad2deg radians degrees floor ceil round rint trunc clip where select maximum minimum power "
        "mod fmod divide add "
        "subtract multiply negative reciprocal isnan isinf isfinite nan_to_num logical_and logical_or logical_not "
        "equal array asarray "
        "column_stack hstack c_ digitize isin ravel reshape squeeze stack ascontiguousarray float64 int64 heaviside "
        "interp outer "
        "concatenate expand_dims atleast_2d vectorize searchsorted datetime64 timedelta64",
    ),
    **_named(
        Meaning.AGGREGATE,
        "mean median std var min max amin amax sum prod percentile quantile nanmean nanmedian nanstd nanmin nanmax "
        "nansum unique "
        "average histogram bincount corrcoef cov any all argmax argmin count_nonzero shape size ndim",
    ),
    **_named(Meaning.STRUCTURE, "vstack r_ append tile repeat delete insert loadtxt genfromtxt load fromfile"),
    **_named(Meaning.ORDERED, "cumsum cumprod diff roll gradient ediff1d"),
}
"""Functions of NumPy, by name."""

PANDAS: Final = {
    **_named(
        Meaning.ROWWISE, "to_datetime to_numeric to_timedelta isna isnull notna notnull DataFrame Series Timestamp Timedelta"
    ),
    **_named(Meaning.AGGREGATE, "unique crosstab value_counts"),
    **_named(Meaning.STRUCTURE, "merge merge_asof pivot_table melt wide_to_long date_range"),
}
"""Functions of pandas, by name; `read_*` and `concat` are told apart by how they are called."""

BUILTINS: Final = {
    **_named(Meaning.AGGREGATE, "len sum min max"),
    **_named(
        Meaning.ROWWISE,
        "list tuple dict zip enumerate sorted set str int float bool abs round range print type isinstance map filter "
        "reversed "
        "getattr hasattr iter next slice any all divmod pow repr format frozenset",
    ),
}
"""Python's own functions."""

ACCESSORS: Final = frozenset({"str", "dt", "values", "iloc", "loc", "at", "iat", "cat"})
SCHEMA: Final = frozenset({"columns", "dtypes", "dtype", "feature_names", "target_names", "ndim", "name", "DESCR"})
"""What says what the rows are, and not what they hold."""
COUNTS: Final = frozenset({"shape", "size"})
BUNCH_ROWS: Final = frozenset({"data", "target", "frame", "images"})
PREDICTING: Final = frozenset({"predict", "predict_proba", "decision_function", "predict_log_proba"})
SHOWING: Final = frozenset({
    "matplotlib", "seaborn", "plotly", "bokeh", "altair", "IPython", "tqdm", "rich", "missingno", "yellowbrick", "shap",
    "logging", "warnings", "time", "pprint",
})  # fmt: skip
"""Libraries that show or report, whose calls no model depends on."""
MODELS: Final = ("sklearn", "lightgbm", "xgboost", "catboost", "imblearn", "category_encoders")
"""Libraries whose classes are estimators."""
EVALUATING: Final = ("sklearn.metrics", "sklearn.model_selection", "sklearn.inspection", "sklearn.utils", "sklearn.tree")
"""Modules whose functions judge or show models."""
