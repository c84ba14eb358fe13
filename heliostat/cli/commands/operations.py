"""`heliostat up`, `preview`, `refresh` and `destroy`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import flags as known
from heliostat.cli import say, switches
from heliostat.cli.exits import Exit, UsageError
from heliostat.cli.session import Session, is_truthy

if TYPE_CHECKING:
    from heliostat.engine.deployment import Kind

_BOOLEANS = {"true": True, "false": False}


def _default_parallel() -> int:
    said = os.environ.get("PULUMI_PARALLEL", "")
    if said and not said.isdigit():
        raise UsageError(f"PULUMI_PARALLEL={said!r} is no number")
    return int(said or 0) or 4 * (os.cpu_count() or 4)


@click.command()
@known.taking(
    *known.COMMON,
    known.EXCLUDE,
    *known.ACTING,
    known.CONTINUE,
    known.IGNORE_PROTECT,
    known.REFRESH,
    *known.REPLACE,
    *known.ROLLOUTS,
    known.CONFIRM_DELETES,
    *known.PLAN,
    *known.POLICIES,
    known.refused("up"),
)
def up(**flags: Any) -> int:
    """Create or update the resources of a stack, after a preview and a question (--yes: no question)."""
    return _operate("update", flags)


@click.command()
@known.taking(
    *known.COMMON,
    known.EXCLUDE_X,
    known.IGNORE_PROTECT,
    known.REFRESH,
    *known.REPLACE,
    known.RETRY_REFUSED,
    known.SAVE_PLAN,
    *known.POLICIES,
    known.refused("preview"),
)
def preview(**flags: Any) -> int:
    """Show what `up` would do, and do nothing."""
    return _operate("preview", flags)


@click.command()
@known.taking(*known.COMMON, known.EXCLUDE_X, *known.ACTING, known.PREVIEW_ONLY, *known.PENDING, known.refused("refresh"))
def refresh(**flags: Any) -> int:
    """Read the world into the state; no resource is changed."""
    return _operate("refresh", flags)


@click.command()
@known.taking(
    *known.COMMON,
    known.EXCLUDE_X,
    *known.ACTING,
    known.CONTINUE,
    known.IGNORE_PROTECT,
    known.REFRESH,
    known.PREVIEW_ONLY,
    known.EXCLUDE_PROTECTED,
    known.REMOVE,
    known.refused("destroy"),
)
def destroy(**flags: Any) -> int:
    """Delete every resource of a stack; its config and history stay."""
    return _operate("destroy", flags)


def _operate(kind: Kind, flags: dict[str, Any]) -> int:
    known.check_together(flags)
    show_permalink = _boolean("--suppress-permalink", flags["suppress_permalink"], otherwise=True) is False
    variables = _variables(flags)
    session = Session.open(flags["stack"], flags["config_file"], planned=kind == "preview")
    if session.seen is None:
        name = session.ref.name
        say.told(f"there is no stack {name} yet: this is what its first `up` makes, after `heliostat stack init {name}`")
    if kind == "destroy":
        _tell_environments(session)
    if flags["config_pairs"]:
        from heliostat.cli.commands.config import save_from_flags

        save_from_flags(session, flags["config_pairs"], path=flags["config_path"])
    refreshes = kind in {"refresh", "destroy"} or _wants_refresh(flags, session.project.refresh_always)
    known.refuse_program(os.environ, refreshes=refreshes)
    if salt := session.salt:
        session.place.keyring.of(salt).prepare()  # beside the imports that follow
    from heliostat.cli.ahead import ahead

    with ahead(session, variables, program=kind in {"update", "preview"}) as started:  # beside the imports, too
        from heliostat.cli.operate import operate

        code = operate(session, _request(kind, flags, variables, session), started)
    if show_permalink and session.seen and not flags["as_json"]:
        say.out(f"Permalink: {session.place.backend.bucket.describe(session.ref.file)}")
    if flags.get("remove") and code == Exit.OK and not flags["preview_only"]:
        from heliostat.cli.commands.stack_manage import forget, refuse_resources

        # What was left alone (--target, --exclude, --exclude-protected) is not to be forgotten.
        refuse_resources(session.place, session.ref)
        forget(session.place, session.ref, keep_config=False)
        say.out(f"The stack '{session.ref.name}' has been removed!")
    return code


def _tell_environments(session: Session) -> None:
    """Branches' environments are stacks of their own: this destroys what they stand on, and leaves them."""
    from heliostat.gitops.records import Records
    from heliostat.spec.formatting import joined

    records = Records(session.place.backend.bucket, session.project.name).all()
    if standing := tuple(each.name for each in records if each.platform == session.ref.full_name):
        text = "no address of theirs answers without it; `heliostat env down NAME` takes one down first"
        say.told(f"warning: on the platform of {session.ref.name} there is {joined(standing)}: {text}")


def _variables(flags: dict[str, Any]) -> dict[str, str]:
    given = {switches.DETACH: "detach", switches.WAIT: "wait", switches.RETRY_REFUSED: "retry_refused"}
    try:
        found = switches.variables_of([flag for flag, name in given.items() if flags.get(name)])
    except switches.SwitchError as error:
        raise UsageError(str(error)) from None
    return {**found, switches.VARIABLES[switches.CONFIRM_DELETES]: ""}  # this engine asks itself


def _request(kind: Kind, flags: dict[str, Any], variables: dict[str, str], session: Session) -> Any:
    from heliostat.cli.display.report import Look
    from heliostat.cli.operate import Request
    from heliostat.cli.policypacks import packs_for
    from heliostat.engine.deployment import Options

    both = flags.get("target_replaces", ())
    engine_options = Options(
        parallel=flags["parallel"] or _default_parallel(),
        targets=(*flags["targets"], *both),
        target_dependents=flags["target_dependents"],
        excludes=flags["excludes"],
        exclude_dependents=flags["exclude_dependents"],
        ignore_protect=flags.get("ignore_protect", False),
        refresh=_wants_refresh(flags, session.project.refresh_always),
        continue_on_error=flags.get("continue_on_error", False),
        replace=(*flags.get("replaces", ()), *both),
        preview_only=flags.get("preview_only", False),
        policy_packs=packs_for(kind, session, flags),
    )
    look = Look(
        preview=False,
        diff=flags["diff"],
        show_secrets=flags["show_secrets"],
        show_sames=flags["show_sames"],
        suppress_outputs=flags["suppress_outputs"],
        debug=flags["debug"],
        full_output=flags["show_full_output"],
        show_reads=flags["show_reads"],
        urns=flags["urns"],
        replacement_steps=flags["show_replacement_steps"],
        suppress_progress=flags["suppress_progress"],
        policy_remediations=flags.get("show_policy_remediations", False),
    )
    return Request(
        kind=kind,
        options=engine_options,
        look=look,
        skip_preview=flags.get("skip_preview", False),
        as_json=flags["as_json"],
        yes=flags.get("yes", False) or is_truthy(os.environ.get("PULUMI_SKIP_CONFIRMATIONS")),
        message=flags["message"],
        expect_no_changes=flags["expect_no_changes"],
        clear_pending_creates=flags.get("clear_pending_creates", False),
        confirm_deletes=flags.get("confirm_deletes", False),
        exclude_protected=flags.get("exclude_protected", False),
        save_plan=_file(flags.get("save_plan")),
        plan=_file(flags.get("plan")),
        strict=flags.get("strict", False),
        variables=variables,
        show_config=flags["show_config"],
        check_config=not flags["skip_config_validation"],
        full_name=flags["fully_qualify_stack_names"],
        environment={f"exec.{name}": flags[f"exec_{name}"] for name in ("kind", "agent") if flags[f"exec_{name}"]},
    )


def _file(said: str | None) -> Path | None:
    return Path(said).absolute() if said else None


def _wants_refresh(flags: dict[str, Any], always: bool) -> bool:
    return _boolean("--refresh", flags.get("refresh", ""), otherwise=always)


def _boolean(flag: str, said: str, *, otherwise: bool) -> bool:
    if said and said.lower() not in _BOOLEANS:
        raise UsageError(f"{flag} {said!r} has to be true or false")
    return _BOOLEANS[said.lower()] if said else otherwise
