import pytest

from heliostat.engine.config import project
from heliostat.engine.stackerrors import NotFoundError, StackError


def load(folder, text):
    (folder / "Pulumi.yaml").write_text(text)
    return project.load(folder / "Pulumi.yaml")


def test_everything_that_the_project_says_is_read(tmp_path):
    found = load(
        tmp_path,
        """
name: demo
runtime: {name: python, options: {virtualenv: .venv}}
main: infra
stackConfigDir: configs
options: {refresh: always}
backend: {url: "file://state"}
plugins: {providers: [{name: demo, path: ./plugin}]}
config:
  short: 3
  full: {type: integer, default: 4}
  needed: {type: string, secret: true}
""",
    )
    assert found.main == tmp_path / "infra"
    assert found.stack_file("dev") == tmp_path / "configs/Pulumi.dev.yaml"
    assert found.runtime_options == {"virtualenv": ".venv"}
    assert found.plugins == {"demo": tmp_path / "plugin"}
    assert found.refresh_always
    assert found.backend_url == f"file://{tmp_path}/state", "the same from wherever a command runs"
    assert (found.config["short"].default, found.config["full"].default, found.config["needed"].default) == (3, 4, None)


def test_the_short_form_has_the_defaults(tmp_path):
    found = load(tmp_path, "name: demo\nruntime: python\n")
    assert found.main == tmp_path
    assert not found.refresh_always
    assert found.stack_file("dev") == tmp_path / "Pulumi.dev.yaml"


def test_every_mistake_is_told_at_once(tmp_path):
    with pytest.raises(StackError) as caught:
        load(tmp_path, "name: 'a b'\nruntime: nodejs\nmain: 3\noptions: {refresh: never}\nplugins: {providers: [{name: x}]}\n")
    text = str(caught.value)
    for part in ("Pulumi.yaml", "name: 'a b'", "'nodejs'", "main: 3", "options.refresh", "plugins.providers[0]"):
        assert part in text


@pytest.mark.parametrize("text", ["[1]", "a: b: c", "\tname: x"])
def test_what_is_no_yaml_mapping_names_the_file(tmp_path, text):
    with pytest.raises(StackError, match=r"Pulumi\.yaml"):
        load(tmp_path, text)


def test_the_project_is_found_from_a_folder_inside_it(tmp_path):
    (tmp_path / "Pulumi.yaml").write_text("name: x\nruntime: python\n")
    inside = tmp_path / "a/b"
    inside.mkdir(parents=True)
    assert project.find(inside) == tmp_path / "Pulumi.yaml"


def test_outside_of_a_project_the_message_says_where_it_looked(tmp_path):
    with pytest.raises(NotFoundError, match=str(tmp_path)):
        project.find(tmp_path)
