"""A page as a real browser shows it, spoken to by a pipe: what it asks the network for, complains of, and how wide it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")

CONTRASTS = """(() => {
    const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(part => {
        const share = part / 255; return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = node => { for (let each = node; each; each = each.parentElement) {
        const found = getComputedStyle(each).backgroundColor; if (!/, 0\\)$/.test(found)) return found; }
        return "rgb(255, 255, 255)"; };
    const found = [];
    for (const node of document.querySelectorAll("main *:not(title, desc)")) {
        if (![...node.childNodes].some(each => each.nodeType === 3 && each.data.trim())) continue;
        const style = getComputedStyle(node), ink = node.namespaceURI.endsWith("svg") ? style.fill : style.color;
        const [low, high] = [light(ink), light(ground(node))].sort((one, other) => one - other);
        if ((high + 0.05) / (low + 0.05) < 4.5) found.push([node.textContent.slice(0, 30), ink, ground(node)].join(" | "));
    }
    return found;
})()"""
"""Texts of a page whose contrast with their ground is below WCAG's 4.5 to 1, with both colours."""


class Browser:
    """A headless Chromium, and what it told so far."""

    def __init__(self, asked: int, answered: int) -> None:
        self._asked, self._answered, self._number, self._rest = asked, answered, 0, b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    _session: str | None = None

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Ask for something; its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": given}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._asked, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, told
                return dict(told["result"])
            self.events.append(told)

    def show(self, page: Path | str, width: int, height: int = 844) -> None:
        """Load a file or an address in a window of this width, until it has all that it asks for."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while not any(each["method"] == "Page.loadEventFired" for each in self.events):
            self.events.append(self._next())

    def asks(self, expression: str) -> Any:
        """What an expression is in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def press(self, key: str, code: str = "", modifiers: int = 0, repeat: bool = False) -> None:
        """Press a key, and let it go; `Enter` and `Tab` as well."""
        virtual = {"Enter": 13, "Tab": 9}.get(key, ord(key[0].upper()))
        text = {"Enter": "\r", "Tab": ""}.get(key, key)
        given = {"key": key, "code": code or key, "windowsVirtualKeyCode": virtual, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, autoRepeat=repeat, **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def write(self, text: str) -> None:
        """Have a text be written where the focus is."""
        self.call("Input.insertText", text=text)

    def wait(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true in the page."""
        told = f"""new Promise(done => {{
            const look = setInterval(() => {{ if ({expression}) {{ clearInterval(look); done(true); }} }}, 20);
            setTimeout(() => {{ clearInterval(look); done(false); }}, {seconds * 1000});
        }})"""
        found = self.call("Runtime.evaluate", expression=told, awaitPromise=True, returnByValue=True)["result"]["value"]
        assert found, f"{expression} is not so; the page has {str(self.asks('document.body.innerText'))[-400:]!r}"

    def picture(self, file: Path) -> None:
        """Keep what is seen, as PNG."""
        file.write_bytes(b64decode(self.call("Page.captureScreenshot")["data"]))

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for, the page's own first."""
        return [each["params"]["request"]["url"] for each in self.events if each["method"] == "Network.requestWillBeSent"]

    @property
    def complaints(self) -> list[Any]:
        """What stands in the console."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [each["params"] for each in self.events if each["method"] in kinds]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._answered, 1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        told, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(told))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own."""
    theirs_in, asked = os.pipe()
    answered, theirs_out = os.pipe()
    given = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    command = ["bash", "-c", f'exec chromium "$@" 3<&{theirs_in} 4>&{theirs_out}', "chromium", *given]
    process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(asked, answered)
    finally:
        os.close(asked)
        os.close(answered)
        process.terminate()
        process.wait(60)
