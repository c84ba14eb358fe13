"""Which certificate authorities a client of a URL trusts: for httpx's `verify`."""

from __future__ import annotations

import ssl
from functools import cache


def authorities(url: str) -> ssl.SSLContext | bool:
    """httpx's usual ones; none where the URL is plain HTTP, which shows no certificate.

    httpx reads all of the world's for every client that it makes, some 20 ms each, whatever the client speaks to.
    """
    return _none() if url.startswith("http://") else True


@cache
def _none() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
