"""Where things lie in a project's folder: the program, its platform and the command have to agree on it."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SETTINGS: Final = "heliostat.toml"
"""The file beside Pulumi.yaml with what that has no word for."""
CODE: Final = "workload.py"
"""In a workload's folder: its declaration."""
CONTRACT: Final = "contract.yaml"
"""In the folder of a workload whose model others logged."""
_OTHERS: Final = frozenset({"workloads", "heliostat"})


class SourcesError(ValueError):
    """What `sources` of heliostat.toml names is not what it should be; the text says all of it."""


def data_folder(root: Path, stack: str) -> Path:
    """The folder of what a stack's platform keeps on this machine."""
    return root / ".heliostat" / "stacks" / stack


def workload_names(workloads: Path) -> list[str]:
    """The names of the workloads in a folder: each a folder with a `workload.py`, or with the `contract.yaml` of a model of
    others, whose name has dashes where the folder's has underscores."""
    found = (path for file in (CODE, CONTRACT) for path in workloads.glob(f"*/{file}"))
    return sorted({path.parent.name.replace("_", "-") for path in found})


def has_code(workloads: Path, name: str) -> bool:
    """Whether a workload is declared by code of its own."""
    return (workloads / name.replace("-", "_") / CODE).is_file()


def sources(root: Path) -> tuple[str, ...]:
    """The top-level packages and modules, beside `workloads`, whose code travels with what imports it.

    `sources` in heliostat.toml has them and not a stack's config: what code imports is the same in every stack, so that there
    is one place to name it, and a new stack cannot forget it.

    Raises:
        SourcesError: with every mistake.
    """
    import tomllib

    try:
        said = tomllib.loads((root / SETTINGS).read_text(encoding="utf-8")).get("sources", [])
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourcesError(f"cannot read {root / SETTINGS}: {error}") from None
    if mistakes := [*source_mistakes(said), *_missing(root, said)]:
        raise SourcesError(f"{SETTINGS} has mistakes:" + "".join(f"\n  {one}" for one in mistakes))
    return tuple(said)


def source_mistakes(said: Any) -> Iterator[str]:
    """What is wrong with `sources`, whatever lies in the repository."""
    if not isinstance(said, list) or any(not isinstance(one, str) for one in said):
        yield "sources: has to be a list of names"
        return
    for one in said:
        if not one.isidentifier() or keyword.iskeyword(one):
            yield f"sources: {one!r} is no name of a package or module at the top of the repository"
        elif one in _OTHERS:
            yield f"sources: {one!r} need not be named: it is always there"


def _missing(root: Path, said: Any) -> Iterator[str]:
    for one in said if isinstance(said, list) else ():
        if isinstance(one, str) and one.isidentifier() and not ((root / one).is_dir() or (root / f"{one}.py").is_file()):
            yield f"sources: there is neither a folder {one}/ nor {one}.py in {root}"
