"""Opens an address in the browser of whoever sits here, where there is one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
_REDIRECT = """<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}">
<title>Opening</title><p><a href="{url}">Go on</a>
"""


def has_browser(environment: Mapping[str, str]) -> bool:
    """Whether a browser with a window can be there: one in the terminal would take it over."""
    return any(environment.get(name) for name in _DISPLAYS)


def browse(address: str) -> bool:
    """Open an address; whether a browser took it."""
    import webbrowser

    if not has_browser(os.environ):
        return False
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False


@contextmanager
def redirecting(url: str) -> Iterator[str]:
    """The address of a page that leads to `url` and that only this user can read, while the context lasts.

    What a browser is started with, every user of the machine can list; who reads an address that logs in could be faster.
    """
    with tempfile.TemporaryDirectory(prefix="heliostat-open-") as folder:
        page = Path(folder, "open.html")
        page.touch(mode=0o600)
        page.write_text(_REDIRECT.format(url=escape(url)))
        yield page.as_uri()
