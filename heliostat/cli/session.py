"""What nearly every command needs: the project, the backend, the stack, its config, its secrets."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from heliostat.cli import say
from heliostat.cli.exits import UsageError
from heliostat.cli.selection import Selection
from heliostat.engine.config import project as projects
from heliostat.engine.config.project import Project
from heliostat.engine.config.stackconfig import StackConfig, as_text, has_secret, revealed, with_defaults
from heliostat.engine.stackerrors import NotFoundError, StackError
from heliostat.engine.state.backend import Backend, StackRef, backend_url, pulumi_home
from heliostat.engine.state.checkpoint import Document
from heliostat.engine.state.secrets import Crypter, Keyring


def is_truthy(text: str | None) -> bool:
    """How the official CLI reads its boolean variables."""
    return (text or "").lower() in {"1", "true", "t", "yes"}


def is_interactive() -> bool:
    """Whether someone can be asked."""
    said = is_truthy(os.environ.get("HELIOSTAT_NON_INTERACTIVE"))
    return sys.stdin.isatty() and sys.stdout.isatty() and not said and not is_ci()


def is_watched() -> bool:
    """Whether somebody looks at standard output as it is written, so that lines may be drawn anew."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not is_ci()


def is_ci() -> bool:
    """Whether this is a job of a CI system; some give their jobs a terminal, which nobody sits at."""
    return is_truthy(os.environ.get("CI"))


def _ask_passphrase() -> str:
    import click

    return str(
        click.prompt(
            "Enter your passphrase to unlock config/secrets\n"
            "    (set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to remember)",
            hide_input=True,
            default="",
            show_default=False,
            err=True,
        )
    )


@dataclass
class Place:
    """Where a command works: the project (None outside of one) and the backend."""

    project: Project | None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @classmethod
    def here(cls) -> Place:
        """The project that the working directory is in; raises StackError where its file is wrong."""
        try:
            file = projects.find(Path.cwd())
        except NotFoundError:
            return cls(None)
        return cls(projects.load(file))

    @cached_property
    def backend(self) -> Backend:
        """The backend that environment and project name."""
        url = backend_url(self.environment, self.project.backend_url if self.project else "", pulumi_home(self.environment))
        backend = Backend.open(url)
        usual = backend.advice
        backend.advice = lambda ref: elsewhere(self, ref) or usual(ref)
        return backend

    @cached_property
    def keyring(self) -> Keyring:
        """The passphrase of the environment, or of whoever sits at the terminal."""
        return Keyring(self.environment, _ask_passphrase if is_interactive() else None)

    def require_project(self) -> Project:
        """The project; raises NotFoundError outside of one."""
        if self.project is None:
            raise NotFoundError(f"no Pulumi.yaml in {Path.cwd()} or above it: run this in a project, or name one with -C")
        return self.project

    @property
    def selection(self) -> Selection | None:
        """The record of the selected stack; None outside a project."""
        return Selection(pulumi_home(self.environment), self.project, self.backend.bucket.url) if self.project else None

    def stack(self, name: str | None) -> StackRef:
        """The stack that `-s`, PULUMI_STACK or the selection names; raises NotFoundError where none does."""
        wanted = name or self.environment.get("PULUMI_STACK") or (self.selection.get() if self.selection else "")
        if not wanted:
            raise NotFoundError("no stack is selected: name one with -s NAME, or select one with `heliostat stack select`")
        if self.project is None and "/" not in wanted:
            raise NotFoundError(f"no project for the stack {wanted!r}: run this in one, or say -s organization/PROJECT/NAME")
        return StackRef.parse(wanted, self.project.name if self.project else "")


def elsewhere(place: Place, ref: StackRef) -> str:
    """What to do about a stack that another place on this machine has: a second one would manage the same things."""
    home = pulumi_home(place.environment)
    own = place.project.backend_url if place.project else ""
    others = {
        own: "unset PULUMI_BACKEND_URL to work on it",
        backend_url({}, "", home): "",
        "file://~": "",
    }
    for url, advice in others.items():
        if not url.startswith("file://") or url == place.backend.bucket.url:
            continue
        try:
            there = Backend.open(url).exists(ref)
        except StackError:
            continue
        if there:
            return f"but {url} has it; {advice or f'set PULUMI_BACKEND_URL={url} to work on it'}"
    return ""


@dataclass
class Session:
    """One stack of the project at hand, which exists unless it is only `planned`."""

    place: Place
    ref: StackRef
    config_file: Path | None = None
    seen: Document | None = None
    """The state as it was before it was locked; None of a stack that was never made."""

    @classmethod
    def open(cls, stack: str | None, config_file: str | None = None, *, planned: bool = False) -> Session:
        """The stack that the options name. Of a `planned` one that has a config, and no state here, `seen` is None.

        Raises:
            NotFoundError: there is no such stack.
            StackError: its state or its project is not what it should be.
        """
        place = Place.here()
        project = place.require_project()
        ref = place.stack(stack)
        if ref.project != project.name:
            raise UsageError(f"the stack {ref.full_name} is not of this project, {project.name!r} ({project.file})")
        session = cls(place, ref, Path(config_file).absolute() if config_file else None)
        try:
            session.seen = place.backend.read(ref)
        except NotFoundError:
            # One that another place has is there: a plan that began with nothing would be none of it.
            if not (planned and session.config.file.is_file()) or elsewhere(place, ref):
                raise
        return session

    def state(self) -> Document:
        """The state as it stands now; an empty one of a stack that was never made.

        Raises StackError where it is damaged, NotFoundError where the stack is gone since.
        """
        return Document(self.ref.full_name, None) if self.seen is None else self.place.backend.read(self.ref)

    @property
    def salt(self) -> str:
        """The salt of what a passphrase protects; empty where there is nothing of that kind to be read."""
        if self.seen is None:
            return self.config.salt if any(map(has_secret, self.config.values.values())) else ""
        return self.config.salt or self.seen.salt

    @property
    def project(self) -> Project:
        """The project at hand."""
        return self.place.require_project()

    @cached_property
    def config(self) -> StackConfig:
        """The stack's config file."""
        return StackConfig(self.config_file or self.project.stack_file(self.ref.name), self.project.name)

    def config_reader(self) -> Crypter | None:
        """What the config's secrets are encrypted with; None where the stack has no salt."""
        return self.place.keyring.of(self.config.salt) if self.config.salt else None

    def crypter(self, document: Document) -> Crypter:
        """What encrypts new secrets: the config's salt, else the state's, else a new one; the config file gets it."""
        if self.config.salt:
            return self.place.keyring.of(self.config.salt)
        crypter = self.place.keyring.of(document.salt) if document.salt else self.place.keyring.new()
        self.config.salt = crypter.salt
        self.config.save()
        return crypter

    def merged_values(self, *, required: bool) -> dict[str, Any]:
        """The stack's config with the project's defaults, secrets as they are in the file."""
        return with_defaults(self.config, self.project, self.ref.name, required=required)

    def program_config(self, values: dict[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
        """The config as the program reads it, and which keys are secret; raises StackError where a secret cannot be read."""
        secret = tuple(key for key, value in values.items() if has_secret(value))
        reader = self.config_reader() if secret else None

        def reveal(ciphertext: str) -> str:
            if reader is None:
                raise StackError(f"{self.config.file} has secrets but no encryptionsalt: they cannot be decrypted")
            text = reader.decrypt(ciphertext)
            say.masker.add(text)
            return text

        return {key: as_text(revealed(value, reveal)) for key, value in values.items()}, secret

    def hidden_config(self, values: dict[str, Any]) -> dict[str, str]:
        """The config as it may be shown."""
        plain = {key: "[secret]" if has_secret(value) else as_text(revealed(value, str)) for key, value in values.items()}
        return {key: say.masker.text(text) for key, text in plain.items()}


def import_from(root: Path) -> None:
    """Have the modules of the project at `root` found by whatever is imported from now on."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
