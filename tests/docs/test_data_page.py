import re
from pathlib import Path

from ruamel.yaml import YAML

from heliostat.data.leakage_expectations import LeakageExpectations
from heliostat.data.schema import Transformed, read

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def test_the_page_s_examples_run_as_one_program():
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))

    exec(compile(program, "docs/data.md", "exec"), {})


def test_the_page_s_schema_is_one():
    leakage, transformed, text = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    assert read(text).label == "late"
    assert LeakageExpectations.model_validate(YAML(typ="safe").load(leakage)["leakage"]).group == "customer"
    expected = Transformed.model_validate(YAML(typ="safe").load(transformed)["transformed"])
    assert expected.columns["weekday"].maximum == 6
