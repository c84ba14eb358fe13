"""Flags about rollouts, which the plugin reads from the environment: so the official CLI's users have them too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from heliostat.provider import switches as plugin

DETACH, WAIT, RETRY_REFUSED, CONFIRM_DELETES = "--detach", "--wait", "--retry-refused", "--confirm-deletes"
VARIABLES = {
    DETACH: plugin.DETACH,
    WAIT: plugin.WAIT,
    RETRY_REFUSED: plugin.RETRY_REFUSED,
    CONFIRM_DELETES: plugin.CONFIRM_DELETES,
}
_UPDATES = frozenset({"up", "update"})
_PREVIEWS = frozenset({"preview", "pre"})
REMOTE = (
    "--remote-env",
    "--remote-env-secret",
    "--remote-pre-run-command",
    "--remote-git-branch",
    "--remote-git-commit",
    "--remote-git-repo-dir",
    "--remote-git-auth-access-token",
    "--remote-git-auth-ssh-private-key",
    "--remote-git-auth-ssh-private-key-path",
    "--remote-git-auth-password",
    "--remote-git-auth-username",
    "--remote-executor-image",
    "--remote-executor-image-username",
    "--remote-executor-image-password",
    "--remote-agent-pool-id",
)
"""Flags of remote deployments that have a value."""
WITH_VALUE = frozenset(
    {
        *REMOTE,
        "-s",
        "--stack",
        "-c",
        "--config",
        "--config-file",
        "-m",
        "--message",
        "-t",
        "--target",
        "-x",
        "--exclude",
        "-p",
        "--parallel",
        "--replace",
        "--target-replace",
        "-C",
        "--cwd",
        "--color",
        "--plan",
        "--save-plan",
        "--policy-pack",
        "--policy-pack-config",
        "--secrets-provider",
        "--import-file",
        "--import-pending-creates",
        "--exec-kind",
        "--exec-agent",
        "--client",
        "--event-log",
        "--output",
        "--override-env",
        "-v",
        "--verbose",
        "--tracing",
        "--tracing-header",
        "--profiling",
        "--memprofilerate",
        "--otel-traces",
    }
)
"""Options whose value is the next argument, whatever it looks like."""


class SwitchError(Exception):
    """Flags that do not go together."""


def variables_of(flags: Collection[str]) -> dict[str, str]:
    """What the environment says for these flags; where one rules another out, the other's variable is emptied.

    Raises:
        SwitchError: two of them exclude each other.
    """
    if DETACH in flags and WAIT in flags:
        raise SwitchError(f"{DETACH} leaves a rollout at once and {WAIT} stays to its end: give one of them")
    found = {VARIABLES[flag]: "1" for flag in flags}
    for flag, other in ((DETACH, WAIT), (WAIT, DETACH)):
        if flag in flags:
            found[VARIABLES[other]] = ""
    return found


def taken_out(arguments: Sequence[str], command: str) -> tuple[list[str], dict[str, str]]:
    """The arguments without our flags, and what the environment says for them.

    Raises:
        SwitchError: two of them exclude each other.
    """
    ours = {RETRY_REFUSED} if command in _PREVIEWS else set(VARIABLES) if command in _UPDATES else set()
    kept: list[str] = []
    found: set[str] = set()
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument in ours:
            found.add(argument)
            continue
        kept.append(argument)
        if argument == "--":
            kept += waiting
            break
        if argument in WITH_VALUE and waiting:
            kept.append(waiting.pop(0))
    return kept, variables_of(found)
