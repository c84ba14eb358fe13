"""An address of this machine that logs a browser into Ray's dashboard once: the token goes to it as a cookie, nowhere else."""

from __future__ import annotations

import hmac
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_COOKIE = "ray-authentication-token"
"""What Ray's dashboard sets where a token is typed in. A cookie is a host's, whatever the port."""


class Login:
    """A server of one page. Use as a context manager."""

    def __init__(self, dashboard: str, token: str) -> None:
        """Make the page that leads to `dashboard`, which is on 127.0.0.1 too."""
        self._path = f"/{secrets.token_urlsafe(24)}"
        self._visited = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _page(self._path, dashboard, token, self._visited))

    @property
    def url(self) -> str:
        """What to open, once."""
        return f"http://127.0.0.1:{self._server.server_port}{self._path}"

    def visited(self, seconds: float) -> bool:
        """Whether somebody opened it within `seconds`."""
        return self._visited.wait(seconds)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _page(path: str, dashboard: str, token: str, visited: threading.Event) -> type[BaseHTTPRequestHandler]:
    once = threading.Lock()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = hmac.compare_digest(self.path.encode(), path.encode())
            if not known or not once.acquire(blocking=False):
                self.send_error(410 if known else 404)
                return
            self.send_response(302)
            self.send_header("Location", f"{dashboard}/")
            self.send_header("Set-Cookie", f"{_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            visited.set()

        def log_message(self, *_: object) -> None:
            return

    return Page
