"""From a client package's parts to a wheel: without a network, and the same bytes for the same parts."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from heliostat.clients.sources import ClientPackage, files_of
from heliostat.systems.errors import PermanentError

_EPOCH: Final = "315532800"
"""1980-01-01, the earliest that a zip can say."""
_MISSING: Final = "{} is not installed: install heliostat with its extra `client`"


def build(package: ClientPackage, target: Path) -> Path:
    """Write the wheel into the folder `target`, and return its path.

    Raises:
        PermanentError: what builds it is not installed.
    """
    try:
        from hatchling.build import build_wheel
    except ImportError:
        raise PermanentError(_MISSING.format("hatchling")) from None
    target = target.absolute()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="heliostat-client-") as folder:
        for path, text in files_of(package, models_text(package)).items():
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        with contextlib.chdir(folder), _reproducible():
            return target / str(build_wheel(str(target)))


def models_text(package: ClientPackage) -> str:
    """The module with the contract's types as pydantic models.

    Raises:
        PermanentError: what writes it is not installed.
    """
    try:
        from datamodel_code_generator import generate
        from datamodel_code_generator.enums import DataModelType, InputFileType
        from datamodel_code_generator.format import DatetimeClassType, PythonVersion
        from datamodel_code_generator.parser import LiteralType
    except ImportError:
        raise PermanentError(_MISSING.format("datamodel-code-generator")) from None
    with tempfile.TemporaryDirectory(prefix="heliostat-client-") as folder:
        target = Path(folder, "models.py")
        generate(
            json.dumps(package.schema()[0]),
            input_file_type=InputFileType.JsonSchema,
            output=target,
            output_model_type=DataModelType.PydanticV2BaseModel,
            output_datetime_class=DatetimeClassType.Datetime,
            target_python_version=PythonVersion.PY_311,
            enum_field_as_literal=LiteralType.All,
            custom_file_header='"""The contract\'s types."""\n\nfrom __future__ import annotations',
            formatters=[],
            use_annotated=True,
            use_union_operator=True,
            use_standard_collections=True,
            use_schema_description=True,
            use_field_description=True,
            field_constraints=True,
            snake_case_field=True,
            allow_population_by_field_name=True,
            collapse_root_models=True,
            disable_timestamp=True,
        )
        return target.read_text(encoding="utf-8")


@contextlib.contextmanager
def _reproducible() -> Iterator[None]:
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = _EPOCH
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before
