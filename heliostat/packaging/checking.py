"""Sees that a wheel answers as the service does, before anybody is given it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from pydantic_core import to_json

from heliostat.ml.ensembles import load_model
from heliostat.packaging import trial
from heliostat.packaging.contents import Contents, PackageError
from heliostat.serving.answering import Answering
from heliostat.serving.errors import HttpError
from heliostat.spec.packages import import_name

_BARRED: Final = ("heliostat", "ray", "mlflow", "pulumi")
_TAIL: Final = 4000


def require_same_answers(wheel: Path, contents: Contents) -> None:
    """See that a wheel imports nothing of ours but its own copies, and answers examples and golden requests alike.

    Raises:
        PackageError: it does not.
    """
    bodies = [to_json(example, by_alias=True) for example in contents.contract.examples]
    bodies += [each.body for each in contents.contract.golden]
    limit = max(1, *(body.count(b"{") for body in bodies)) if bodies else 1
    predictor = load_model(contents.contract.predictor, contents.model)
    expected = _expected(Answering(contents.contract, predictor, limit, contents.loaded_steps), bodies)
    for body, ours, theirs in zip(bodies, expected, _asked(wheel, contents, bodies), strict=True):
        if ours != theirs:
            raise PackageError(
                f"the package of {contents.application} answers otherwise than the service: {theirs[0]} {theirs[1][:200]} "
                f"instead of {ours[0]} {ours[1][:200]} to {body[:200]!r}"
            )


def _expected(answering: Answering, bodies: list[bytes]) -> list[tuple[int, str]]:
    found = []
    for body in bodies:
        try:
            found.append((200, answering.answered(body)[1].decode()))
        except HttpError as refusal:
            found.append((refusal.status, json.dumps(refusal.detail)))
    return found


def _asked(wheel: Path, contents: Contents, bodies: list[bytes]) -> list[tuple[int, str]]:
    """What the package itself answers, in a process that has it and its requirements."""
    tops = sorted({name.partition("/")[0].removesuffix(".py") for name in contents.code})
    with tempfile.TemporaryDirectory(prefix="heliostat-package-") as temporary:
        folder, asked, answered = Path(temporary, "package"), Path(temporary, "bodies"), Path(temporary, "answers")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        asked.write_text(json.dumps([body.decode("latin-1") for body in bodies]))
        barred = ",".join((*_BARRED, *tops))
        module = import_name(contents.distribution)
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-I", "-B", trial.__file__, str(folder), module, barred, str(asked), str(answered)],
            cwd=temporary,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PackageError(
                f"the package of {contents.application} does not work by itself: {done.stderr.strip()[-_TAIL:]}"
            )
        return [(status, text) for status, text in json.loads(answered.read_text())]
