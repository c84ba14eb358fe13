"""What is watched of how a model that serves treats groups of people."""

from __future__ import annotations

from heliostat.spec.fairness import Fairness
from heliostat.spec.watches import Confidence, Watch


class FairnessWatch(Fairness, Watch):
    """What `gate.fairness` says, of the rows that are served: `column` is an input of the contract, as the log has it.

    Selection rates are of all rows, and need no label; true and false positive rates are of those whose label came.
    """

    confidence: Confidence = 0.95
    """Of the interval that must be beyond the limit; all pairs of groups share what it leaves to chance."""
