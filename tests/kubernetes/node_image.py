"""The image of all pods on a machine with no builder of images: what deploy/Dockerfile does, in a root that debootstrap makes.

The root with all packages is kept by the lock and the scripts that make it, the image by the library's files as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
_LOCKED = (DEPLOY / "install-system", DEPLOY / "install-packages", DEPLOY / "requirements.lock", ROOT / "scripts" / "uv.txt")
_LIBRARY = (DEPLOY / "install-library", ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE")
_CONFIG = {
    "Env": [
        "PATH=/opt/heliostat/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED=1",
        "PYTHONDONTWRITEBYTECODE=1",
    ],
    "User": "1000:1000",
    "WorkingDir": "/home/heliostat",
}
_NAME = "node.local/heliostat"
_PROMETHEUS = (
    "cd /run; apt-get update; apt-get download prometheus; dpkg -x prometheus_*.deb unpacked; "
    "mv unpacked/usr/bin/prometheus /usr/bin; rm -r prometheus_*.deb unpacked"
)
"""For tests alone: its program and none of what Debian's package brings along."""
_CHROOT = """
mount --make-rprivate /
if [ "$UPPER" ]; then
  mount -t overlay overlay -o "lowerdir=$SYSTEM,upperdir=$UPPER,workdir=$UPPER.work" "$SYSTEM"
fi
cd "$SYSTEM"
mkdir -p opt/uv root/.cache/uv run/build run/certificates
mount --bind "$UV" opt/uv
mount --bind "$UV_CACHE" root/.cache/uv
mount --bind "$SOURCES" run/build
mount --bind /etc/ssl/certs run/certificates
mount --bind /dev dev
mount -t proc proc proc
[ "$UPPER" ] || cp /etc/resolv.conf etc/resolv.conf
found=/run/certificates/ca-certificates.crt
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root UV_LINK_MODE=copy SSL_CERT_FILE=$found PIP_CERT=$found \\
  chroot . sh -euc "$COMMAND"
"""


class Image(NamedTuple):
    """An image as containerd imports it, and by which name pods name it."""

    file: Path
    tag: str
    by_digest: str


def make(node: Path, cache: Path) -> Image:
    """The image, out of the cache where nothing changed. It takes root, debootstrap, and package registries the first time.

    Args:
        node: The folder of the scripts that make images.
        cache: Where all is kept; older ones are removed.
    """
    folder = cache / "heliostat"
    folder.mkdir(parents=True, exist_ok=True)
    system = folder / f"system-{_digest(_LOCKED, _PROMETHEUS)}"
    file = folder / f"image-{_digest([*_LOCKED, *_LIBRARY, *_modules()], _PROMETHEUS)}.tar"
    if not file.exists():
        _forget(folder, keep=system)
        if not system.exists():
            _make_system(system)
        library = _make_library(system)
        options = ("--add", str(system), "--add", str(library), "--config", json.dumps(_CONFIG))
        _run([sys.executable, str(node / "image.py"), str(file), f"{_NAME}:1", *options])
        shutil.rmtree(library)
    return Image(file, f"{_NAME}:1", f"{_NAME}@{_digest_of(file)}")


def _make_system(system: Path) -> None:
    """A Debian with all packages; half a one is never left under that name."""
    half = system.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    options = ("--variant=minbase", "--include=ca-certificates,python3,python3-venv")
    _run(["debootstrap", *options, "bookworm", str(half)])
    sources = half.with_suffix(".sources")
    sources.mkdir(exist_ok=True)
    for each in _LOCKED:
        shutil.copy(each, sources)
    _within(half, sources, f"{_PROMETHEUS}; /run/build/install-system; /run/build/install-packages /run/build")
    shutil.rmtree(sources)
    half.rename(system)


def _make_library(system: Path) -> Path:
    """What the library adds to that."""
    upper, sources = system.with_suffix(".library"), system.with_suffix(".sources")
    for each in (upper, upper.with_suffix(".library.work"), sources):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    for file in _LIBRARY:
        shutil.copy(file, sources)
    for file in _modules():
        copy = sources / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    _within(system, sources, "/run/build/install-library /run/build", upper)
    for each in (upper.with_suffix(".library.work"), sources):
        shutil.rmtree(each)
    return upper


def _within(system: Path, sources: Path, command: str, upper: Path | None = None) -> None:
    """Run a command with that root, in a mount namespace of its own."""
    cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    uv = system.parent / "uv"
    for each in (cache, uv):
        each.mkdir(parents=True, exist_ok=True)
    places = {"SYSTEM": system, "SOURCES": sources, "UPPER": upper or "", "UV": uv, "UV_CACHE": cache, "COMMAND": command}
    environment = {**os.environ, **{key: str(value) for key, value in places.items()}}
    _run(["unshare", "--mount", "sh", "-euc", _CHROOT], environment)


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{command[0]} ended with {ran.returncode}:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")


def _modules() -> list[Path]:
    """The library's files, as git has them and without what is made at runs."""
    return sorted(each for each in (ROOT / "heliostat").rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def _digest(files: Iterable[Path], *more: str) -> str:
    found = hashlib.sha256("".join(more).encode())
    for each in files:
        found.update(str(each.relative_to(ROOT)).encode() + b"\0" + each.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _digest_of(file: Path) -> str:
    with tarfile.open(file) as image:
        index = image.extractfile("index.json")
        assert index is not None
        return str(json.load(index)["manifests"][0]["digest"])


def _forget(folder: Path, keep: Path) -> None:
    for each in folder.iterdir():
        if each.name.startswith(("system-", "image-")) and each != keep:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
