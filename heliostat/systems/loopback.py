"""What listens on loopback is reached directly, whatever proxy the environment names for the rest of the world.

Clients of all kinds look at the same variables: httpx, requests, gRPC, botocore, and what is started by them. A proxy cannot
reach this machine's loopback, and would be handed tokens in clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "grpc_proxy"})
_NAMES = ("127.0.0.1", "localhost", "::1")


def past_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to lay over `environment` so that loopback is reached past its proxies; none where it names no proxy."""
    if not any(value for name, value in environment.items() if name.lower() in _PROXIES):
        return {}
    # Some programs read one spelling and some the other.
    said = ",".join(value for name in ("no_proxy", "NO_PROXY") if (value := environment.get(name)))
    if "*" in map(str.strip, said.split(",")):
        # It means everything only where it stands alone.
        return dict.fromkeys(("no_proxy", "NO_PROXY"), "*")
    names = list(dict.fromkeys(part.strip() for part in (*said.split(","), *_NAMES) if part.strip()))
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(names))


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine: no proxy reaches that, and a token that is sent to one is lost."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
