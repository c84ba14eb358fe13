"""The data: an example to change, 569 rows of Breast Cancer Wisconsin (CC BY 4.0) from the package scikit-learn."""

import pyarrow as pa
from heliostat.ml.datasets import Tables
from heliostat.ml.in_memory import split_at_random
from heliostat.spec.base import Parameters
from sklearn.datasets import load_breast_cancer

from workloads.tumours.features import INPUTS, LABEL


def snapshot(parameters: Parameters) -> Tables:
    """The rows to train on, to validate and to test."""
    data = load_breast_cancer(as_frame=True).frame
    columns = {name: data[name.replace("_", " ")] for name in INPUTS}
    return split_at_random(pa.table({**columns, LABEL: data["target"] == 0}), LABEL)
