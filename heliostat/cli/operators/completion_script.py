"""The script that has a shell complete the command, with how to install it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_HELIOSTAT_COMPLETE"
_INSTALL = {
    "bash": '# To have it in every shell, add this line to ~/.bashrc:\n#     eval "$({command} completion bash)"\n',
    "zsh": "# To have it in every shell, add this line to ~/.zshrc, below compinit:\n"
    '#     eval "$({command} completion zsh)"\n# It completes `heliostat` where that is on PATH.\n',
    "fish": "# To have it in every shell, run this once:\n"
    "#     {command} completion fish > ~/.config/fish/completions/heliostat.fish\n"
    "# It completes `heliostat` where that is on PATH.\n",
}


def script(shell: str) -> str:
    """The script that has a shell complete the command, with how to install it as a comment."""
    from click.shell_completion import get_completion_class

    from heliostat.cli.commands import heliostat

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - the command takes no other shell
    head = _INSTALL[shell].format(command=_command())
    # The first line of zsh's says what it completes, and has to stay the first.
    first, _, rest = made(heliostat, {}, "heliostat", VARIABLE).source().partition("\n")
    return f"{first}\n{head}{rest}" if first.startswith("#compdef") else f"{head}{first}\n{rest}"


def _command() -> str:
    """The command as it can be called from any folder."""
    called = Path(sys.argv[0])
    there = called if called.name == "heliostat" else Path(sys.executable).with_name("heliostat")
    return "heliostat" if shutil.which("heliostat") else str(there.absolute())
