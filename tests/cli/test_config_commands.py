import io
import json
import sys

import pytest


def test_a_value_is_set_read_listed_and_removed(stack):
    stack.ok("config", "set", "a", "1")
    stack.ok("config", "set", "aws:region", "eu-central-1", "-s", "dev")
    assert stack.ok("config", "get", "a") == "1\n"
    assert stack.ok("config").split() == ["KEY", "VALUE", "aws:region", "eu-central-1", "a", "1"]
    stack.ok("config", "rm", "a")
    stack.ok("config", "rm", "a")
    ran = stack("config", "get", "a")
    assert ran.code == 6
    assert "no configuration value 'a'" in ran.err


def test_a_value_at_the_top_is_text_and_one_inside_has_a_type(stack):
    stack.ok("config", "set", "n", "1")
    stack.ok("config", "set", "--path", "o.list[0]", "true")
    stack.ok("config", "set", "--path", "o.name", "007")
    stack.ok("config", "set", "typed", "5", "--type", "int")
    said = json.loads(stack.ok("config", "--json"))
    assert said["demo:n"] == {"value": "1", "secret": False}
    assert said["demo:o"]["objectValue"] == {"list": [True], "name": "007"}
    assert "typed: 5\n" in stack.config.read_text()
    assert stack.ok("config", "get", "--path", "o.list[0]") == "true\n"


def test_a_secret_is_encrypted_hidden_in_lists_and_told_by_get(stack):
    stack.ok("config", "set", "--secret", "pw", "geheim")
    stack.ok("config", "set", "--secret", "--path", "o.inner", "tief")
    assert "geheim" not in stack.config.read_text()
    assert "geheim" not in stack.ok("config")
    assert '{"inner":"[secret]"}' in stack.ok("config"), "what stands around a secret is none"
    assert json.loads(stack.ok("config", "-j")) == {"demo:pw": {"secret": True}, "demo:o": {"secret": True}}
    assert json.loads(stack.ok("config", "-j", "--show-secrets"))["demo:o"]["objectValue"] == {"inner": "tief"}
    assert stack.ok("config", "get", "pw") == "geheim\n"


def test_a_wrong_passphrase_changes_nothing(stack):
    before = stack.config.read_text()
    stack.monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    ran = stack("config", "set", "--secret", "pw", "geheim")
    assert ran.code == 1
    assert "incorrect passphrase" in ran.err
    assert "geheim" not in ran.err
    assert stack.config.read_text() == before
    stack.ok("config", "set", "plain", "1")


def test_a_value_that_looks_like_a_secret_needs_a_word(stack):
    ran = stack("config", "set", "dbPassword", "hT7!kk29sLqz")
    assert ran.code == 2
    assert "--secret" in ran.err
    assert "hT7" not in ran.err
    stack.ok("config", "set", "dbPassword", "hT7!kk29sLqz", "--plaintext")
    stack.ok("config", "set", "tokenizer", "words")


def test_a_value_may_come_from_standard_input(stack):
    stack.monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
    stack.ok("config", "set", "text")
    assert stack.ok("config", "get", "text") == "two\nlines\n"


def test_comments_in_the_file_survive(stack):
    stack.config.write_text(stack.config.read_text() + "config:\n  # why\n  demo:a: '1'   # because\n")
    stack.ok("config", "set", "a", "2")
    assert "  # why\n  demo:a: '2'   # because\n" in stack.config.read_text()


def test_defaults_of_the_project_are_listed_and_a_missing_value_is_no_matter_here(stack):
    (stack.folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\nconfig:\n  a: {default: 5}\n  b: {type: string}\n")
    assert json.loads(stack.ok("config", "-j")) == {"demo:a": {"value": "5", "secret": False}}
    assert stack.ok("config", "get", "a") == "5\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "set", "a:b:c", "1"],
        ["config", "set", "a", "x", "--type", "int"],
        ["config", "set", "--path", "a[", "1"],
        ["config", "set", "a", "1", "--secret", "--plaintext"],
        ["config", "get"],
        ["config", "set", "-s", "a b", "k", "v"],
    ],
)
def test_what_cannot_be_meant_is_told_without_a_traceback(stack, arguments):
    ran = stack(*arguments)
    assert ran.code in {1, 2}
    assert "rror: " in ran.err
    assert "Traceback" not in ran.err


def test_another_config_file_may_be_named(stack, tmp_path):
    other = tmp_path / "other.yaml"
    stack.ok("config", "set", "a", "1", "--config-file", str(other))
    assert "demo:a: '1'" in other.read_text()
    assert "demo:a" not in stack.config.read_text()
