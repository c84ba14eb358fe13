"""The flags of `up`, `preview`, `refresh` and `destroy`: the official CLI's, and some for rollouts.

docs/engine.md has them all in a table, with what each does or why it is refused; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from heliostat.cli import options, switches
from heliostat.cli.exits import UsageError

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

_CLOUD = "it is Pulumi Cloud's, and the embedded engine speaks to no service: leave it out"
_PROGRAM = (
    "the embedded engine refreshes and destroys by the state alone, without the program: run `up` first where providers need "
    "other credentials than the state has, or use `--engine pulumi`"
)
_TRACES = "the embedded engine writes no traces and no log: use --debug, or `--engine pulumi`"
_DEBUGGER = (
    "the embedded engine attaches no debugger: start one in the program itself (debugpy.listen), or use `--engine pulumi`"
)

# flag: (short form, whether it takes a value (None: if it is given one), why it is refused and what to do)
_Refusals = dict[str, tuple[str, bool | None, str]]
_REFUSED_EVERYWHERE: _Refusals = {
    "--run-program": ("", False, _PROGRAM),
    "--neo": ("", False, _CLOUD),
    "--copilot": ("", False, _CLOUD),
    "--remote": ("", False, _CLOUD),
    "--remote-inherit-settings": ("", False, _CLOUD),
    "--remote-skip-install-dependencies": ("", False, _CLOUD),
    **dict.fromkeys(switches.REMOTE, ("", True, _CLOUD)),
    "--override-env": ("", True, _CLOUD),
    "--output": ("", True, "the CLI hides it, since it is not done: use --json"),
    "--client": ("", True, "the embedded engine starts the program's host itself: leave it out"),
    "--event-log": ("", True, _TRACES),
    "--emoji": ("-e", False, "nothing here is written in emojis: leave it out"),
    "--disable-integrity-checking": (
        "",
        False,
        "the embedded engine reads no damaged state: mend it (`stack export`, `import`)",
    ),
    "--logflow": ("", False, _TRACES),
    "--logtostderr": ("", False, _TRACES),
    "--verbose": ("-v", True, _TRACES),
    "--tracing": ("", True, _TRACES),
    "--tracing-header": ("", True, _TRACES),
    "--otel-traces": ("", True, _TRACES),
    "--profiling": ("", True, _TRACES),
    "--memprofilerate": ("", True, _TRACES),
}
_REFUSED_IN_PROGRAMS: _Refusals = {
    "--attach-debugger": ("", None, _DEBUGGER),
    "--neo-task-on-failure": ("", False, _CLOUD),
}
_REFUSED: dict[str, _Refusals] = {
    "up": {
        **_REFUSED_IN_PROGRAMS,
        "--secrets-provider": ("", True, "it is for stacks made of a template, which the embedded engine makes none of"),
    },
    "preview": {
        **_REFUSED_IN_PROGRAMS,
        "--import-file": ("", True, "the embedded engine imports one resource a command or option: `import`, or `import_`"),
    },
    "refresh": {
        "--import-pending-creates": (
            "",
            True,
            "clear the creation (--clear-pending-creates) and take the resource under management with `import`",
        )
    },
    "destroy": {},
}


def refused(command: str) -> Decorator:
    """Flags of the CLI's `command` that the embedded engine cannot do, each refused by name with what to do instead."""

    def decorate(function: Any) -> Any:
        for flag, (short, takes_value, reason) in {**_REFUSED_EVERYWHERE, **_REFUSED[command]}.items():
            value: dict[str, Any] = {"is_flag": True} if takes_value is False else {"default": None}
            value |= {"is_flag": False, "flag_value": "true"} if takes_value is None else {}
            names = [short, flag] if short else [flag]
            function = click.option(*names, hidden=True, expose_value=False, callback=_refuse(flag, reason), **value)(function)
        return click.argument("template_or_url", required=False, expose_value=False, callback=_refuse_template)(function)

    return decorate


def _refuse(flag: str, reason: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def check(_: click.Context, __: click.Parameter, value: Any) -> None:
        if value:
            raise UsageError(f"{flag}: {reason}")

    return check


def _refuse_template(_: click.Context, __: click.Parameter, value: str | None) -> None:
    if value:
        raise UsageError(
            f"{value!r}: the embedded engine runs the project of the current folder only (or of -C DIR); "
            "for templates and remote deployments use `--engine pulumi`"
        )


COMMON: tuple[Decorator, ...] = (
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
    click.option("--show-config", is_flag=True, help="Show the configuration first, secrets hidden."),
    click.option("--show-full-output", is_flag=True, help="Show values whole, however long."),
    click.option("--show-reads", is_flag=True, help="Show resources that are only read, too."),
    click.option("--show-replacement-steps", is_flag=True, help="Show both halves of a replacement."),
    click.option("--show-sames", is_flag=True, help="Show unchanged resources too."),
    click.option("--urns", is_flag=True, help="Call resources by their URNs."),
    click.option("--suppress-outputs", is_flag=True, help="Do not show the stack's outputs."),
    click.option("--suppress-progress", is_flag=True, help="Do not show what comes and goes while a step runs."),
    click.option(
        "--suppress-permalink",
        is_flag=False,
        flag_value="true",
        default="",
        metavar="[true|false]",
        help="`false`: say where the state is.",
    ),
    click.option("--skip-config-validation", is_flag=True, help="Do not hold the config against what Pulumi.yaml declares."),
    click.option(
        "--skip-plugin-pre-install", is_flag=True, help="As ever: plugins are not installed, but started when needed."
    ),
    click.option("-Q", "--fully-qualify-stack-names", is_flag=True, help="Show the stack's full name."),
    click.option("--exec-kind", default="", hidden=True),
    click.option("--exec-agent", default="", hidden=True),
    options.as_json,
    options.show_secrets,
    options.everywhere,
)
ACTING: tuple[Decorator, ...] = (
    options.yes,
    click.option("-f", "--skip-preview", is_flag=True, help="Act at once."),
)
CONTINUE = click.option(
    "--continue-on-error",
    is_flag=True,
    envvar="PULUMI_CONTINUE_ON_ERROR",
    help="Go on with what does not depend on a failure.",
)
REFRESH = click.option(
    "-r", "--refresh", is_flag=False, flag_value="true", default="", metavar="[true|false]", help="Read the world first."
)
REPLACE: tuple[Decorator, ...] = (
    click.option("--replace", "replaces", multiple=True, metavar="URN", help="Replace these resources."),
    click.option("--target-replace", "target_replaces", multiple=True, metavar="URN", help="Replace these, leave the others."),
)
_EXCLUDE_HELP = "Leave these resources alone; `*` and `**` match."
EXCLUDE = click.option("--exclude", "excludes", multiple=True, metavar="URN", help=_EXCLUDE_HELP)
EXCLUDE_X = click.option("-x", "--exclude", "excludes", multiple=True, metavar="URN", help=_EXCLUDE_HELP)
EXCLUDE_PROTECTED = click.option(
    "--exclude-protected", is_flag=True, help="Leave alone what is protected, and what that needs."
)
IGNORE_PROTECT = click.option("--ignore-protect", is_flag=True, help="Delete and replace protected resources, too.")
PREVIEW_ONLY = click.option("--preview-only", is_flag=True, help="Show what would be done, and stop.")
PENDING: tuple[Decorator, ...] = (
    click.option("--clear-pending-creates", is_flag=True, help="Forget creations that were interrupted."),
    click.option("--skip-pending-creates", is_flag=True, help="As ever: creations that were interrupted are not asked about."),
)
REMOVE = click.option("--remove", is_flag=True, help="Remove the stack afterwards.")
RETRY_REFUSED = click.option(
    switches.RETRY_REFUSED, is_flag=True, help="Ship again what was rolled back, and measure again what the gate refused."
)
CONFIRM_DELETES = click.option(
    switches.CONFIRM_DELETES,
    is_flag=True,
    envvar=switches.VARIABLES[switches.CONFIRM_DELETES],
    help="Ask before what serves or holds data is deleted, --yes or not; without a terminal refuse.",
)
ROLLOUTS: tuple[Decorator, ...] = (
    click.option(
        switches.DETACH,
        is_flag=True,
        help="Leave each rollout once it has begun, and trainings and the like that take more than a minute: they go on by "
        "themselves. What needs them is the next `up`'s; this one then ends with 75.",
    ),
    click.option(switches.WAIT, is_flag=True, help="Stay to the end of each rollout, through pauses and approvals."),
    RETRY_REFUSED,
)
PLAN: tuple[Decorator, ...] = (
    click.option(
        "--plan", metavar="FILE", help="Do only what this plan has, which `preview --save-plan FILE` wrote; else stop."
    ),
    click.option("--strict", is_flag=True, help="Do only what the preview showed; else stop."),
)
SAVE_PLAN = click.option("--save-plan", metavar="FILE", help="Write what is planned to a file, for `up --plan FILE`.")
POLICIES: tuple[Decorator, ...] = (
    click.option("--policy-pack", "policy_packs", multiple=True, metavar="DIR", help="Run this policy pack, too."),
    click.option(
        "--policy-pack-config",
        "policy_pack_configs",
        multiple=True,
        metavar="FILE",
        help="The config of the --policy-pack at the same place (JSON); one each, or none.",
    ),
    click.option("--show-policy-remediations", is_flag=True, help="Show each property that a policy changed."),
)
_TOGETHER = (
    ("targets", "--target", "excludes", "--exclude"),
    ("target_replaces", "--target-replace", "excludes", "--exclude"),
    ("targets", "--target", "exclude_protected", "--exclude-protected"),
    ("skip_preview", "--skip-preview", "preview_only", "--preview-only"),
    ("skip_preview", "--skip-preview", "strict", "--strict"),
    ("plan", "--plan", "strict", "--strict"),
    ("yes", "--yes", "preview_only", "--preview-only"),
    ("skip_pending_creates", "--skip-pending-creates", "clear_pending_creates", "--clear-pending-creates"),
)


def taking(*decorators: Decorator) -> Callable[[F], F]:
    """A command with these flags, in their order."""

    def decorate(command: F) -> F:
        for one in reversed(decorators):
            command = one(command)
        return command

    return decorate


def refuse_program(environment: Mapping[str, str], *, refreshes: bool) -> None:
    """Raises UsageError where PULUMI_RUN_PROGRAM, which stands for --run-program, would count."""
    if refreshes and environment.get("PULUMI_RUN_PROGRAM", "").lower() in {"1", "t", "true"}:
        raise UsageError(f"PULUMI_RUN_PROGRAM: {_PROGRAM}")


def check_together(flags: dict[str, Any]) -> None:
    """Raises UsageError for flags that contradict each other, all such pairs at once."""
    pairs = [f"{a} and {b}" for one, a, other, b in _TOGETHER if flags.get(one) and flags.get(other)]
    if pairs:
        raise UsageError(f"give one of each pair: {'; '.join(pairs)}")
