"""The data of the digits workload: 1,797 written digits of 8 x 8 pixels, which scikit-learn brings along."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from sklearn.datasets import load_digits

from heliostat.ml.datasets import Tables
from heliostat.ml.in_memory import split_at_random
from heliostat.spec.base import Parameters
from workloads.digits.model import SIZE
from workloads.digits.predictor import IMAGE

LABEL = "digit"


def snapshot(parameters: Parameters) -> Tables:
    """The images, split at random."""
    found = load_digits()
    pixels = pa.array(found.images.astype(np.float32).ravel())
    for _ in range(2):
        pixels = pa.FixedSizeListArray.from_arrays(pixels, SIZE)
    return split_at_random(pa.table({IMAGE: pixels, LABEL: pa.array(found.target.astype(np.int64))}), LABEL)
