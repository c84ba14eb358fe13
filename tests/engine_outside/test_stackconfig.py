from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.config.project import ConfigDeclaration, Project
from heliostat.engine.config.stackconfig import (
    StackConfig,
    as_text,
    coerced,
    full_key,
    has_secret,
    parse_path,
    revealed,
    with_defaults,
)
from heliostat.engine.stackerrors import StackError

COMMENTED = """\
# yaml-language-server: $schema=schema.json
# the stack of the laptop
encryptionsalt: v1:abc=:v1:x:y   # not secret
config:
    # how many
    demo:replicas: "1"   # one is enough

    demo:list:
        - first   # kept
        - name: second
          sizes: [1, 2]
    other:token:
        secure: v1:n:m
# the end
"""


@pytest.fixture
def stack_file(tmp_path):
    return tmp_path / "configs" / "Pulumi.dev.yaml"


def written(stack_file, text):
    stack_file.parent.mkdir(exist_ok=True)
    stack_file.write_text(text)
    return StackConfig(stack_file, "demo")


def lines_that_differ(before, after):
    return [line for line in after.splitlines() if line not in before.splitlines()]


def test_saving_what_was_read_changes_not_a_byte(stack_file):
    written(stack_file, COMMENTED).save()
    assert stack_file.read_text() == COMMENTED


def test_setting_one_value_keeps_every_comment_and_the_order(stack_file):
    config = written(stack_file, COMMENTED)
    config.set("demo:replicas", [], "2")
    config.save()
    assert lines_that_differ(COMMENTED, stack_file.read_text()) == ['    demo:replicas: "2"   # one is enough']
    assert len(stack_file.read_text().splitlines()) == len(COMMENTED.splitlines())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_setting_and_removing_a_value_leaves_every_other_byte(stack_file, newline):
    text = (Path(__file__).parents[2] / "configs" / "Pulumi.local.yaml").read_text().replace("\n", newline)
    stack_file.parent.mkdir()
    stack_file.write_bytes(text.encode())
    config = StackConfig(stack_file, "heliostat")
    steps = ["flights", "serving", "replicas"]
    config.set("heliostat:workloads", steps, 3)
    config.save()
    assert stack_file.read_bytes().decode() == text.replace("replicas: 2", "replicas: 3")
    config.set("heliostat:workloads", steps, 2)
    config.set("heliostat:new", [], "x")
    config.set("heliostat:workloads", ["flights", "gate", "onRefusal"], "keep")
    config.remove("heliostat:new", [])
    config.remove("heliostat:workloads", ["flights", "gate", "onRefusal"])
    config.save()
    assert stack_file.read_bytes().decode() == text


def test_a_value_deep_inside_is_set_in_its_place(stack_file):
    config = written(stack_file, COMMENTED)
    config.set("demo:list", parse_path("x[1].sizes[0]")[1:], 7)
    config.save()
    assert lines_that_differ(COMMENTED, stack_file.read_text()) == ["          sizes: [7, 2]"]


def test_what_holds_a_value_is_made_where_it_is_missing(stack_file):
    config = written(stack_file, "")
    config.set("demo:a", ["b", 0, "c.d"], True)
    config.save()
    assert StackConfig(stack_file, "demo").values == {"demo:a": {"b": [{"c.d": True}]}}


def test_a_new_file_and_its_folder_are_made_with_the_salt_first(stack_file):
    config = StackConfig(stack_file, "demo")
    config.salt = "v1:s"
    config.set("demo:a", [], "1")
    config.save()
    assert stack_file.read_text() == "encryptionsalt: v1:s\nconfig:\n  demo:a: '1'\n"


def test_the_comment_at_the_top_stays_at_the_top_when_a_salt_comes(stack_file):
    config = written(stack_file, "# yaml-language-server: $schema=s.json\nconfig:\n  demo:a: 1\n")
    config.salt = "v1:s"
    config.save()
    assert stack_file.read_text() == "# yaml-language-server: $schema=s.json\nconfig:\n  demo:a: 1\nencryptionsalt: v1:s\n"


def test_a_file_of_comments_keeps_them(stack_file):
    config = written(stack_file, "# nothing yet\n")
    config.set("demo:a", [], "1")
    config.save()
    assert stack_file.read_text() == "# nothing yet\nconfig:\n  demo:a: '1'\n"


def test_a_key_without_its_namespace_is_the_projects_and_stays_as_it_is_written(stack_file):
    config = written(stack_file, "config:\n  a: 1\n")
    assert config.values == {"demo:a": 1}
    config.set("demo:a", [], "2")
    config.save()
    assert stack_file.read_text() == "config:\n  a: '2'\n"


def test_removing_tells_whether_there_was_something(stack_file):
    config = written(stack_file, COMMENTED)
    assert config.remove("demo:list", [1, "sizes", 0])
    assert config.remove("other:token", [])
    assert not config.remove("demo:list", [7])
    assert not config.remove("demo:none", ["a"])
    assert config.values == {"demo:replicas": "1", "demo:list": ["first", {"name": "second", "sizes": [2]}]}


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([5], "index 5 is beyond"),
        (["name"], "a list takes a number"),
        ([1, 3], "a mapping takes a name"),
        ([1, "name", "deeper"], "has no 'deeper' inside"),
    ],
)
def test_a_path_that_does_not_fit_is_told_and_nothing_is_written(stack_file, steps, told):
    config = written(stack_file, COMMENTED)
    with pytest.raises(StackError, match=told):
        config.set("demo:list", steps, "x")
    assert stack_file.read_text() == COMMENTED


def test_a_mapping_that_would_read_as_a_secret_is_refused(stack_file):
    with pytest.raises(StackError, match="--secret"):
        written(stack_file, "").set("demo:a", ["secure"], "text")


@pytest.mark.parametrize(
    "text",
    ["config: [1]", "config: []", "config: x", "- a", "config:\n  a: {", "secretsprovider: awskms://x", "environment: [e]"],
)
def test_a_file_that_cannot_be_used_is_named(stack_file, text):
    with pytest.raises(StackError, match=r"Pulumi\.dev\.yaml( has to be a mapping|:\d+:\d+)"):
        written(stack_file, text)


def test_paths_are_read_as_the_cli_reads_them():
    assert parse_path('a.b[0]["c.d"].e') == ["a", "b", 0, "c.d", "e"]
    assert parse_path('["a.b"]') == ["a.b"]
    for wrong in ("", "[0]", "a..b", "a[", "a[x]", ".a"):
        with pytest.raises(StackError, match="invalid configuration path"):
            parse_path(wrong)


@given(st.lists(st.text(min_size=1).filter(lambda s: "\n" not in s), min_size=1))
def test_every_name_can_be_quoted_in_a_path(names):
    quoted = "".join('["' + name.replace("\\", "\\\\").replace('"', '\\"') + '"]' for name in names)
    assert parse_path(quoted) == names


def test_keys_get_the_projects_namespace():
    assert full_key("a", "demo") == "demo:a"
    assert full_key("aws:region", "demo") == "aws:region"
    assert full_key("aws:config:region", "demo") == "aws:region"
    for wrong in ("", ":", "a:", "a:b:c", "a:b:c:d"):
        with pytest.raises(StackError, match="invalid configuration key"):
            full_key(wrong, "demo")


def test_values_inside_objects_are_typed_as_the_cli_types_them():
    typed = [coerced(text) for text in ("true", "12", "-3", "0", "007", "1.5", "yes", "1e3")]
    assert typed == [True, 12, -3, 0, "007", "1.5", "yes", "1e3"]


def test_the_program_reads_text_as_it_is_and_everything_else_as_json():
    assert [as_text(v) for v in ("a", 1, 1.0, 1.5, True, {"b": [1, "ü"], "a": None})] == [
        "a",
        "1",
        "1",
        "1.5",
        "true",
        '{"a":null,"b":[1,"ü"]}',
    ]


def test_secrets_inside_a_value_are_found_and_opened():
    value = {"a": [{"secure": "x"}], "b": {"secure": 1}}
    assert has_secret(value)
    assert not has_secret({"secure": 1})
    assert revealed(value, str.upper) == {"a": ["X"], "b": {"secure": 1}}


def project(tmp_path, **config):
    return Project(tmp_path / "Pulumi.yaml", tmp_path, "demo", tmp_path, tmp_path, config=config)


def test_defaults_of_the_project_fill_what_the_stack_lacks(tmp_path):
    declared = project(tmp_path, a=ConfigDeclaration(default=1), b=ConfigDeclaration(default=2))
    config = written(tmp_path / "configs" / "x.yaml", "config: {a: '9'}")
    assert with_defaults(config, declared, "dev", required=True) == {"demo:a": "9", "demo:b": 2}


def test_every_missing_and_wrong_value_is_told_at_once_and_only_where_it_matters(tmp_path):
    declared = project(
        tmp_path,
        a=ConfigDeclaration(),
        b=ConfigDeclaration("integer"),
        c=ConfigDeclaration(secret=True),
        d=ConfigDeclaration("array"),
    )
    file = tmp_path / "configs" / "x.yaml"
    values = {"demo:b": "many", "demo:c": "plain", "demo:d": [1]}
    config = written(file, "config:\n  b: many\n  demo:c: plain\n  d: [1]\n")
    with pytest.raises(StackError) as caught:
        with_defaults(config, declared, "dev", required=True)
    for part in (
        "'dev'",
        f"{file}: a: missing; set it with `heliostat config set a VALUE --config-file {file}`",
        f"{file}:2:3: b: many is no integer",
        f"{file}:3:3: c: has to be a secret",
    ):
        assert part in str(caught.value)
    assert "d:" not in str(caught.value)
    assert with_defaults(config, declared, "dev", required=False) == values
