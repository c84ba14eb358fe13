"""`heliostat up`, `preview`, `refresh` and `destroy`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from heliostat.cli import options, say, switches
from heliostat.cli.exits import Exit, UsageError
from heliostat.cli.session import Session, is_truthy

if TYPE_CHECKING:
    from heliostat.engine.deployment import Kind

F = TypeVar("F", bound=Callable[..., Any])
_BOOLEANS = {"true": True, "false": False}


def _default_parallel() -> int:
    said = os.environ.get("PULUMI_PARALLEL", "")
    if said and not said.isdigit():
        raise UsageError(f"PULUMI_PARALLEL={said!r} is no number")
    return int(said or 0) or 4 * (os.cpu_count() or 4)


_COMMON = (
    options.stack,
    options.config_file,
    click.option("-c", "--config", "config_pairs", multiple=True, metavar="KEY=VALUE", help="Set this in the config before."),
    click.option("--config-path", is_flag=True, help="Keys of -c are paths inside a value."),
    click.option("-t", "--target", "targets", multiple=True, metavar="URN", help="Only these resources; `*` and `**` match."),
    click.option("--target-dependents", is_flag=True, help="Also what depends on a target."),
    click.option("--exclude-dependents", is_flag=True, help="Leave alone what depends on an excluded one, too."),
    click.option("-p", "--parallel", type=click.IntRange(min=1), metavar="N", help="At most this many steps at once."),
    click.option("-m", "--message", default="", help="Remember this with the operation."),
    click.option("-d", "--debug", is_flag=True, help="Show debug messages."),
    click.option("--diff", is_flag=True, help="Show every property that differs."),
    click.option("--expect-no-changes", is_flag=True, help="Fail where anything changes."),
    click.option("--show-sames", is_flag=True, help="Show unchanged resources too."),
    click.option("--suppress-outputs", is_flag=True, help="Do not show the stack's outputs."),
    options.as_json,
    options.show_secrets,
    options.everywhere,
)
_ACTING = (
    options.yes,
    click.option("-f", "--skip-preview", is_flag=True, help="Act at once."),
)
_CONTINUE = click.option(
    "--continue-on-error",
    is_flag=True,
    envvar="PULUMI_CONTINUE_ON_ERROR",
    help="Go on with what does not depend on a failure.",
)
_REFRESH = click.option(
    "-r", "--refresh", is_flag=False, flag_value="true", default="", metavar="[true|false]", help="Read the world first."
)
_REPLACE = (
    click.option("--replace", "replaces", multiple=True, metavar="URN", help="Replace these resources."),
    click.option("--target-replace", "target_replaces", multiple=True, metavar="URN", help="Replace these, leave the others."),
)
_EXCLUDE_HELP = "Leave these resources alone; `*` and `**` match."
_EXCLUDE = click.option("--exclude", "excludes", multiple=True, metavar="URN", help=_EXCLUDE_HELP)
_EXCLUDE_X = click.option("-x", "--exclude", "excludes", multiple=True, metavar="URN", help=_EXCLUDE_HELP)
_IGNORE_PROTECT = click.option("--ignore-protect", is_flag=True, help="Delete and replace protected resources, too.")
_RETRY_REFUSED = click.option(
    switches.RETRY_REFUSED, is_flag=True, help="Ship again what was rolled back, and measure again what the gate refused."
)
_ROLLOUTS = (
    click.option(switches.DETACH, is_flag=True, help="Leave each rollout once it has begun; it goes on by itself."),
    click.option(switches.WAIT, is_flag=True, help="Stay to the end of each rollout, through pauses and approvals."),
    _RETRY_REFUSED,
)
_PREVIEW_ONLY = click.option("--preview-only", is_flag=True, help="Show what would be done, and stop.")


def _with(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for one in reversed(decorators):
            command = one(command)
        return command

    return decorate


@click.command()
@_with(*_COMMON, _EXCLUDE, *_ACTING, _CONTINUE, _IGNORE_PROTECT, _REFRESH, *_REPLACE, *_ROLLOUTS)
def up(**flags: Any) -> int:
    """Create or update the resources of a stack, after a preview and a question (--yes: no question)."""
    return _operate("update", flags)


@click.command()
@_with(*_COMMON, _EXCLUDE_X, _IGNORE_PROTECT, _REFRESH, *_REPLACE, _RETRY_REFUSED)
def preview(**flags: Any) -> int:
    """Show what `up` would do, and do nothing."""
    return _operate("preview", flags)


@click.command()
@_with(
    *_COMMON,
    _EXCLUDE_X,
    *_ACTING,
    _PREVIEW_ONLY,
    click.option("--clear-pending-creates", is_flag=True, help="Forget creations that were interrupted."),
)
def refresh(**flags: Any) -> int:
    """Read the world into the state; no resource is changed."""
    return _operate("refresh", flags)


@click.command()
@_with(
    *_COMMON,
    _EXCLUDE_X,
    *_ACTING,
    _CONTINUE,
    _IGNORE_PROTECT,
    _REFRESH,
    _PREVIEW_ONLY,
    click.option("--exclude-protected", is_flag=True, help="Leave alone what is protected, and what that needs."),
    click.option("--remove", is_flag=True, help="Remove the stack afterwards."),
)
def destroy(**flags: Any) -> int:
    """Delete every resource of a stack; its config and history stay."""
    return _operate("destroy", flags)


def _operate(kind: Kind, flags: dict[str, Any]) -> int:
    _check_together(flags)
    variables = _variables(flags)
    session = Session.open(flags["stack"], flags["config_file"])
    if flags["config_pairs"]:
        from heliostat.cli.commands.config import save_from_flags

        save_from_flags(session, flags["config_pairs"], path=flags["config_path"])
    if session.config.salt:
        session.place.keyring.of(session.config.salt).prepare()  # beside the imports that follow
    from heliostat.cli.operate import operate

    code = operate(session, _request(kind, flags, variables, refresh_always=session.project.refresh_always))
    if flags.get("remove") and code == Exit.OK and not flags["preview_only"]:
        from heliostat.cli.commands.stack_manage import forget, refuse_resources

        # What was left alone (--target, --exclude, --exclude-protected) is not to be forgotten.
        refuse_resources(session.place, session.ref)
        forget(session.place, session.ref, keep_config=False)
        say.out(f"The stack '{session.ref.name}' has been removed!")
    return code


def _check_together(flags: dict[str, Any]) -> None:
    """Refuses flags that contradict each other, all such pairs at once."""
    targets = [flag for flag, name in (("--target", "targets"), ("--target-replace", "target_replaces")) if flags.get(name)]
    excludes = [
        flag for flag, name in (("--exclude", "excludes"), ("--exclude-protected", "exclude_protected")) if flags.get(name)
    ]
    pairs = [(target, exclude) for target in targets for exclude in excludes]
    if flags.get("preview_only"):
        pairs += [
            (flag, "--preview-only") for flag, name in (("--skip-preview", "skip_preview"), ("--yes", "yes")) if flags[name]
        ]
    if pairs:
        listed = "; ".join(f"{one} and {other}" for one, other in pairs)
        raise UsageError(f"give one of each pair: {listed}")


def _variables(flags: dict[str, Any]) -> dict[str, str]:
    given = {switches.DETACH: "detach", switches.WAIT: "wait", switches.RETRY_REFUSED: "retry_refused"}
    try:
        return switches.variables_of([flag for flag, name in given.items() if flags.get(name)])
    except switches.SwitchError as error:
        raise UsageError(str(error)) from None


def _request(kind: Kind, flags: dict[str, Any], variables: dict[str, str], *, refresh_always: bool) -> Any:
    from heliostat.cli.display.report import Look
    from heliostat.cli.operate import Request
    from heliostat.engine.deployment import Options

    both = flags.get("target_replaces", ())
    engine_options = Options(
        parallel=flags["parallel"] or _default_parallel(),
        targets=(*flags["targets"], *both),
        target_dependents=flags["target_dependents"],
        excludes=flags["excludes"],
        exclude_dependents=flags["exclude_dependents"],
        ignore_protect=flags.get("ignore_protect", False),
        refresh=_refresh(flags.get("refresh", ""), refresh_always),
        continue_on_error=flags.get("continue_on_error", False),
        replace=(*flags.get("replaces", ()), *both),
        preview_only=flags.get("preview_only", False),
    )
    look = Look(
        preview=False,
        diff=flags["diff"],
        show_secrets=flags["show_secrets"],
        show_sames=flags["show_sames"],
        suppress_outputs=flags["suppress_outputs"],
        debug=flags["debug"],
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
        exclude_protected=flags.get("exclude_protected", False),
        variables=variables,
    )


def _refresh(said: str, always: bool) -> bool:
    if said and said.lower() not in _BOOLEANS:
        raise UsageError(f"--refresh {said!r} has to be true or false")
    return _BOOLEANS[said.lower()] if said else always
