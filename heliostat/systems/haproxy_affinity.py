"""Keep a client on one version: its header or cookie, hashed, decides in place of chance.

`hash(salt : key) mod 10000` is the client's place among the shares of 1/100 %; green has those below its share. So a share
that rises, of either colour, takes clients and gives none back, and another salt deals them anew. A client without the cookie
is given one: its value is made first and hashed like any other, so that the answer that sets the cookie comes from the same
side as all that follow. A request without the header has nothing to be known by and is drawn by chance.

Which application has which affinity is read from a map, and each header or cookie has a rule of its own, for HAProxy takes no
name of a header from a variable: another affinity needs a reload. The map is never changed on the socket, so it tells what the
worker that runs was started with. Salts are in a map that the socket changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from heliostat.spec.strategies import Affinity

COOKIE_SECONDS = 30 * 86_400
_NO_SALT = "-"
_SALT = re.compile(r"[A-Za-z0-9._-]{0,128}")

_KNOWN = "{ var(txn.key) -m len gt 0 }"
_HASH = "var(txn.salt),concat(:,txn.key),xxh32"
_COOKIE = f"=%[var(txn.fresh)]; Path=/%[var(txn.app)]; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax"


def rules(affinities: Iterable[Affinity], affinity_map: Path, salt_map: Path, shares: int) -> list[str]:
    """The frontend's lines, after the draw by chance is in `txn.draw`; none where no application has an affinity.

    They need `txn.app` and `txn.share`.
    """
    marks = {mark(each): each for each in affinities}
    if not marks:
        return []
    return [
        f"http-request set-var(txn.affinity) var(txn.app),map_str({affinity_map})",
        *(_key(marks[name], name) for name in sorted(marks)),
        f"http-request set-var(txn.fresh) uuid if {{ var(txn.affinity) -m beg cookie: }} !{_KNOWN}",
        "http-request set-var(txn.key) var(txn.fresh) if { var(txn.fresh) -m found }",
        f"http-request set-var(txn.salt) var(txn.app),map_str({salt_map},{_NO_SALT}) if {_KNOWN}",
        f"http-request set-var(txn.draw) {_HASH},mod({shares}),sub(txn.share) if {_KNOWN}",
        f'http-response add-header set-cookie "%[var(txn.affinity),field(2,:)]{_COOKIE}" if {{ var(txn.fresh) -m found }}',
    ]


def mark(affinity: Affinity) -> str:
    """The affinity as a value of the map."""
    return f"cookie:{affinity.cookie}" if affinity.cookie else f"header:{affinity.header}"


def render_affinities(affinities: Mapping[str, Affinity]) -> str:
    """The map of affinities by application."""
    return "".join(f"{name} {mark(affinity)}\n" for name, affinity in sorted(affinities.items()))


def parse_affinities(found: Mapping[str, str]) -> dict[str, Affinity]:
    """The affinities by application, from the map's values."""
    return {name: Affinity.model_validate({kind: key}) for name, (kind, _, key) in _split(found)}


def render_salts(salts: Mapping[str, str]) -> str:
    """The map of salts by application.

    Raises:
        ValueError: a salt is not one.
    """
    return "".join(f"{name} {salt_value(salt)}\n" for name, salt in sorted(salts.items()))


def parse_salts(found: Mapping[str, str]) -> dict[str, str]:
    """The salts by application, from the map's values."""
    return {name: "" if value == _NO_SALT else value for name, value in found.items()}


def salt_value(salt: str) -> str:
    """A salt as a value of the map; a map has no empty values.

    Raises:
        ValueError: it is not one.
    """
    if not _SALT.fullmatch(salt):
        raise ValueError(f"the salt {salt!r} must be up to 128 letters, digits, dots, dashes and underscores")
    return salt or _NO_SALT


def _key(affinity: Affinity, name: str) -> str:
    # The whole header: `req.hdr` would take what follows its last comma.
    sample = f"req.cook({affinity.cookie})" if affinity.cookie else f"req.fhdr({affinity.header})"
    return f"http-request set-var(txn.key) {sample} if {{ var(txn.affinity) -m str {name} }}"


def _split(found: Mapping[str, str]) -> Iterable[tuple[str, tuple[str, str, str]]]:
    return ((name, value.partition(":")) for name, value in found.items())
