"""What serving is given after the workload's own transformation, held to what its schema expects of that."""

from __future__ import annotations

from heliostat.data.schema import Transformed
from heliostat.data.validation import validate
from heliostat.ml.contracts import Columns
from heliostat.ml.transformations import TransformationError, transformed
from heliostat.monitoring.judging import Judge
from heliostat.spec.findings import Aspect, Finding
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.spec.watches import SkewWatch


def transformed_findings(
    specification: MonitorSpecification, columns: Columns, rows: int, judge: Judge, watch: SkewWatch
) -> list[Finding]:
    """One finding where the schema expects something after the transformation, none where not.

    Args:
        specification: what is watched.
        columns: the predictor's columns, as the replica made them of requests.
        rows: how many they are of.
        judge: of the window.
        watch: how severe it is.
    """
    if specification.transformed is None:
        return []
    expected = Transformed.model_validate(specification.transformed)
    try:
        found = validate(expected.schema_of_columns, transformed(expected.by, columns, rows))
    except TransformationError as error:
        return [judge.unknown(Aspect.SKEW, "transformed", str(error))]
    told = [f"after {expected.by}, {finding.text}" for finding in found.findings]
    return [judge.transformed(expected.by, told, watch)]
