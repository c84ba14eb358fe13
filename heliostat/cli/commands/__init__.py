"""The commands, one file a group; a new one is added to `_COMMANDS` and imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

import click

from heliostat.cli.options import Group, everywhere

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name: (module, attribute, help)
_COMMANDS = {
    "new": ("new", "new", "Make a repository of your own, or a workload in one."),
    "contract": ("contract", "contract", "Write the contract of a model that others logged with MLflow."),
    "convert": ("convert", "convert", "Make a workload of a notebook, a script or an MLflow run."),
    "up": ("operations", "up", "Create or update the resources of a stack."),
    "preview": ("operations", "preview", "Show what `up` would do."),
    "refresh": ("operations", "refresh", "Read the world into the state."),
    "destroy": ("operations", "destroy", "Delete every resource of a stack."),
    "doctor": ("doctor", "doctor", "Check what this machine lacks for `up`."),
    "status": ("status", "status", "Show every part of the platform, and what serves."),
    "predict": ("predict", "predict", "Ask what serves for a prediction."),
    "rollout": ("rollout", "rollout", "Watch rollouts, approve or abort them, report on them."),
    "history": ("history", "history", "Show what served when."),
    "rollback": ("rollback", "rollback", "Go back to what served before."),
    "promote": ("promote", "promote", "Pin what one stack serves in another one's config, by a pull request."),
    "monitor": ("monitor", "monitor", "Show what monitors found, look now, take or silence alarms."),
    "report": ("report", "report", "Write a page about a workload: quality, drift, data, trainings, rollouts."),
    "simulate": ("simulate", "simulate", "Go through months of a workload's own data: monitor, alarms, retrainings."),
    "tasks": ("tasks", "tasks", "Show the queue of tasks and its dead letters, try them again, cancel."),
    "audit": ("audit", "audit", "Show who did what, and whether the audit log was changed."),
    "access": ("access", "access", "Show who may do what; make somebody a token."),
    "erasure": ("erasure", "erasure", "Delete what is kept of a person, and prove it."),
    "review": ("review", "review", "Show what came of the reviews of an application's answers."),
    "card": ("card", "card", "Write the card of a model, or of its data."),
    "datasets": ("datasets_importance", "datasets", "List data sets, compare them, hold them to a schema."),
    "proto": ("proto", "proto", "Write a contract's definition for gRPC, with numbers that stay."),
    "client": ("client", "client", "Write a client of a workload as a wheel."),
    "site": ("site", "site", "Take part in a federated training with rows of one's own."),
    "logs": ("logs", "logs", "Show what an application's replicas wrote, or a part."),
    "open": ("open_", "open_", "Open MLflow, Ray's dashboard, a report, an application."),
    "dashboard": ("dashboard", "dashboard", "Open Ray's dashboard, logged in."),
    "env": ("env", "env", "Bring up an environment for a branch, and take it down."),
    "ci": ("ci", "ci", "Check a change, and say which stacks it affects."),
    "stack": ("stack", "stack", "Manage stacks and look at their state."),
    "import": ("import_", "import_", "Take resources that are there already under management."),
    "state": ("state", "state", "Edit a stack's state by hand."),
    "config": ("config", "config", "Read and change a stack's configuration."),
    "about": ("about", "about", "Show what this command, the project, the stack and the backend are."),
    "cancel": ("cancel", "cancel", "Clear the lock of an operation that is gone."),
    "completion": ("completion", "completion", "Have a shell complete commands and names."),
}


class _Lazy(Group):
    """The top of the tree; `--help` needs none of the modules behind it."""

    aliases = {"update": "up", "pre": "preview", "down": "destroy", "dn": "destroy"}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module."""
        found = _COMMANDS.get(self.aliases.get(cmd_name, cmd_name))
        if found is None:
            return None
        return cast(click.Command, getattr(import_module(f"{__name__}.{found[0]}"), found[1]))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names for `--help`."""
        return list(_COMMANDS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands' names without their modules, and the options."""
        from click.shell_completion import CompletionItem

        named = [CompletionItem(name, help=text) for name, (_, _, text) in _COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list for `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="heliostat")
@click.option(
    "--engine",
    type=click.Choice(["auto", "embedded", "pulumi"]),
    expose_value=False,
    help="Who does the work (or HELIOSTAT_ENGINE).",
)
@everywhere
def heliostat() -> None:
    """Declare machine learning on Ray as code: the official Pulumi CLI's commands, and some for what serves.

    With the official CLI on PATH its commands are handed to it; `heliostat --engine embedded COMMAND` (or
    HELIOSTAT_ENGINE=embedded) uses the embedded engine, `--engine pulumi` insists on the CLI.
    """
