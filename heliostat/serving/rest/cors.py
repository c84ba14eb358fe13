"""Cross-Origin Resource Sharing: which pages of other origins may ask an application, as the Fetch standard has it.

No cookie or other credential of a browser is ever asked for: an origin that may ask gets what any other client gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heliostat.serving.rest.exchange import Fields, Request, Response, error_response

_METHODS: Final = b"GET, HEAD, POST"
_HEADERS: Final = b"content-type, content-encoding, x-request-id"
_EXPOSED: Final = b"x-request-id, x-heliostat-version"
_REMEMBERED_SECONDS: Final = b"600"


class Cors:
    """The origins that may ask."""

    def __init__(self, origins: Sequence[str], tasks: bool = False, consent: bytes = b"") -> None:
        """`origins`: as browsers send them, e.g. `https://app.example.com`; `*` is every origin, none is no CORS at all.
        `tasks`: whether pages may submit and cancel those too; `consent`: the header that they may say in that a request may
        be kept."""
        self._methods = _METHODS + (b", DELETE" if tasks else b"")
        self._headers = _HEADERS + (b", idempotency-key" if tasks else b"") + (b", " + consent if consent else b"")
        self._exposed = _EXPOSED + (b", location, retry-after" if tasks else b"")
        self._origins = frozenset(origin.encode() for origin in origins)

    def fields(self, request: Request) -> Fields:
        """Header fields of the answer to a request."""
        if not self._origins:
            return ()
        allowed = self._allowed(request)
        if allowed == b"*":
            return ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", self._exposed))
        varies = (b"vary", b"origin")  # also for the origins that may not: a cache must not give one's answer to another
        if allowed is None:
            return (varies,)
        return ((b"access-control-allow-origin", allowed), (b"access-control-expose-headers", self._exposed), varies)

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser's question before a request; None for other requests, or where no origin may ask."""
        if not self._origins or request.method != "OPTIONS" or b"access-control-request-method" not in request.headers:
            return None
        allowed = self._allowed(request)
        if allowed is None:
            given = request.headers.get(b"origin", b"").decode("latin-1")
            text = f"the origin {given!r} is not among those that may use this application"
            return error_response(403, text, self.fields(request))
        fields = (
            (b"access-control-allow-methods", self._methods),
            (b"access-control-allow-headers", self._headers),
            (b"access-control-max-age", _REMEMBERED_SECONDS),
        )
        return Response(204, b"", b"", (*self.fields(request), *fields))

    def _allowed(self, request: Request) -> bytes | None:
        if b"*" in self._origins:
            return b"*"
        origin = request.headers.get(b"origin")
        return origin if origin in self._origins else None
