"""What a data set's schema expects of requests, put into an application's declaration."""

from __future__ import annotations

from pathlib import Path

import pulumi

from heliostat.spec.expectations import Expectations


def resolved(name: str, declared: Expectations | None, file: Path) -> Expectations | None:
    """What is declared, with the columns of the schema in the workload's folder where it names none itself.

    Raises:
        pulumi.RunError: there is no such file, it is no schema, or says nothing of requests.
    """
    if declared is None or declared.columns:
        return declared
    from heliostat.data.schema import SchemaError, load  # brings numpy, which a program without it does without
    from heliostat.data.serving_expectations import of_requests

    where = f"workloads.{name}.serving.expectations"
    if not file.is_file():
        raise pulumi.RunError(
            f"{where}: there is no {file.parent.name}/{file.name} that requests could be held to: "
            f"`heliostat datasets schema {name}` writes a first one; or give `columns` here"
        )
    try:
        columns = of_requests(load(file))
    except (SchemaError, ValueError) as error:
        raise pulumi.RunError(f"{where}: {error}") from None
    if not columns:
        raise pulumi.RunError(f"{where}: {file.parent.name}/{file.name} has no feature that serving has: leave it out")
    return declared.model_copy(update={"columns": columns})
