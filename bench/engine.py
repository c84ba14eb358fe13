"""How long a preview takes with many resources: the embedded engine, the real SDK and a plugin that costs nothing."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

import yaml

from bench import baseline
from bench.commands import MeasurementError, run
from bench.numbers import alternate, paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session

FEW, MANY = 1_000, 10_000
_ROUNDS = 3
_TURNS = 5
_GROUP = 10
"""Resources that hang on a first one, whose output a preview does not know yet."""

_PROGRAM = """\
import pulumi


class Item(pulumi.CustomResource):
    label: pulumi.Output[str]

    def __init__(self, name, **inputs):
        super().__init__("items:index:Item", name, {{"label": None, **inputs}})


for group in range({groups}):
    first = Item(f"item-{{group}}-0", size=group, tags={{"team": "bench", "group": str(group)}})
    for number in range(1, {group}):
        Item(f"item-{{group}}-{{number}}", size=number, upstream=first.label, tags={{"team": "bench", "group": str(group)}})
"""


def preview(session: Session) -> Iterable[Result]:
    """Previews of new stacks with `FEW` and with `MANY` resources, each with about ten inputs' worth of structure."""
    environment = own_environment(session.folder / "engine")
    before = {**environment, **baseline.environment(session.baseline)}
    few, many = (_project(session.folder / "engine", count, environment) for count in (FEW, MANY))

    def timed(folder: Path, count: int, variables: Mapping[str, str]) -> float:
        seconds = _preview(folder, count, variables)
        session.tell(f"{count:,} resources{f', {baseline.COMMIT}' if variables is before else ''}: {seconds:.2f} s")
        return seconds

    now, then = alternate(lambda: timed(few, FEW, environment), lambda: timed(few, FEW, before), _TURNS)
    yield BY_NAME["engine/preview-1000"].result(median(now), seconds=now)
    yield BY_NAME["engine/preview-before"].result(paired_ratio(now, then), seconds=now, seconds_before=then)
    short, long = alternate(lambda: timed(few, FEW, environment), lambda: timed(many, MANY, environment), _ROUNDS)
    ratio = median(long) / median(short)
    yield BY_NAME["engine/preview-growth"].result(ratio, seconds_1000=short, seconds_10000=long)


def own_environment(folder: Path) -> Mapping[str, str]:
    """The environment of a stack of the bench's own, whose state lies below `folder`."""
    return {
        "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_HOME": str(folder / "home"),
        "HELIOSTAT_ENGINE": "embedded",
        "NO_COLOR": "1",
    }


def _project(folder: Path, count: int, environment: Mapping[str, str]) -> Path:
    """A project of its own with `count` resources, and an empty stack."""
    project = folder / f"of-{count}"
    project.mkdir(parents=True)
    (folder / "state").mkdir(exist_ok=True)
    shutil.copytree(SOURCE / "bench" / "items", project / "plugin", ignore=shutil.ignore_patterns("__pycache__"))
    described = {
        "name": f"of-{count}",
        "runtime": {"name": "python", "options": {"virtualenv": str(SOURCE / ".venv")}},
        "plugins": {"providers": [{"name": "items", "path": "plugin"}]},
    }
    (project / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    (project / "plugin" / "PulumiPlugin.yaml").write_text(
        yaml.safe_dump({"runtime": {"name": "python", "options": {"virtualenv": str(SOURCE / ".venv")}}})
    )
    (project / "__main__.py").write_text(textwrap.dedent(_PROGRAM.format(groups=count // _GROUP, group=_GROUP)))
    run([heliostat(), "stack", "init", "bench"], project, environment, seconds=60)
    return project


def _preview(project: Path, count: int, environment: Mapping[str, str]) -> float:
    """Seconds of one preview, after seeing that it previewed what it should."""
    done = run([heliostat(), "preview", "--stack", "bench"], project, environment, seconds=300)
    # The stack itself is a resource too, and is counted.
    if str(count + 1) not in done.output.splitlines()[-1] and f"{count + 1} to create" not in done.output:
        raise MeasurementError(f"the preview did not see {count} resources to create:\n{done.output[-2000:]}")
    return done.seconds


def heliostat() -> str:
    """The command of these sources."""
    return str(SOURCE / ".venv" / "bin" / "heliostat")
