"""The keys that personal values are hashed with, and that what has to be read again is sealed with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, Final, Self

from pydantic_core import to_json

from heliostat.spec.personal import PersonalKey, PersonalMark, Treatment
from heliostat.systems.credentials import read_text
from heliostat.systems.errors import PermanentError

_BLOCK: Final = 64
"""Bytes that SHA-256 takes in at once."""
_INNER: Final = bytes(each ^ 0x36 for each in range(256))
_OUTER: Final = bytes(each ^ 0x5C for each in range(256))
_REMEMBERED: Final = 1024
"""Hashes of a column."""
_SHORT: Final = 64
"""Characters of a value whose hash is remembered, at most."""
_FEWEST: Final = 16
"""Characters of a key; fewer are guessed."""
_HEX: Final = 32
"""Digits of a hash, 128 bits."""
_SEALED: Final = b"\x02"
_OPEN: Final = b"\x01"
_BEGIN: Final = "hmac:"
TOKEN: Final = re.compile(rf"{_BEGIN}[a-z0-9-]{{1,32}}:[0-9a-f]{{{_HEX}}}\Z")
"""What is written in the place of a value that is hashed."""
MASK: Final = "**********"
"""Stands for what is not written, as pydantic shows a secret."""


class UnsealedError(PermanentError):
    """What was sealed cannot be opened; the text says which key it needs."""


class Keyring:
    """Keys by their ids, the newest first. Safe to use from several threads."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self._keys = dict(keys)
        self._tokens = {name: _tokens_of(name, key) for name, key in keys}
        self._newest = next(iter(self._keys), None)

    @classmethod
    def of(cls, keys: Sequence[PersonalKey]) -> Self:
        """Read the keys from where they are.

        Raises:
            RetryableError, NoAccessError, PermanentError: one cannot be read, or is too short; the text says which.
        """
        found = []
        for key in keys:
            secret = read_text(key.secret, f"the key {key.id!r} of personal data")
            if len(secret) < _FEWEST:
                raise PermanentError(
                    f"the key {key.id!r} of personal data has {len(secret)} characters: take {_FEWEST} or more, as "
                    "`openssl rand -hex 32` makes them"
                )
            found.append((key.id, secret.encode()))
        return cls(found)

    @property
    def ids(self) -> tuple[str, ...]:
        """The newest first."""
        return tuple(self._keys)

    def hashed(self, value: Any) -> str:
        """What is written in the place of a value, by the newest key.

        Raises:
            PermanentError: there is no key.
        """
        if self._newest is None:
            raise PermanentError("a personal value is to be hashed and there is no key: declare serving.privacy.keys")
        return self._tokens[self._newest](_text(value))

    def tokens(self, value: Any) -> frozenset[str]:
        """All that may stand in the place of a value, whichever key was the newest then."""
        text = _text(value)
        return frozenset(token(text) for token in self._tokens.values())

    def treatment(self, mark: PersonalMark) -> Callable[[Any], Any]:
        """What is written in the place of personal values that are there; what was hashed before stays."""
        match mark.treatment:
            case Treatment.HASHED:
                return self._hashing()
            case Treatment.TRUNCATED:
                return _rounding(mark.step) if mark.step is not None else lambda value: _shortened(value, mark)
        return lambda value: MASK

    def _hashing(self) -> Callable[[Any], str]:
        # Most columns have the same values again and again. What is held of them here the tap of a replica holds as well.
        of_short = lru_cache(_REMEMBERED)(self._once)

        def change(value: Any) -> str:
            if not isinstance(value, str):
                return self.hashed(value)
            return of_short(value) if len(value) <= _SHORT else self._once(value)

        return change

    def _once(self, text: str) -> str:
        """What is written in the place of a text, which is the text itself where that is a hash."""
        return text if text.startswith(_BEGIN) and TOKEN.match(text) else self.hashed(text)

    def seal(self, body: bytes, consents: bool) -> bytes:
        """A body as it may be kept, with whether it may be logged. The same body is sealed alike, by the same key.

        Without a key it is not hidden.
        """
        plain = bytes((consents,)) + body
        if self._newest is None:
            return _OPEN + plain
        name = self._newest.encode()
        sealed: bytes = _cipher(self._keys[self._newest]).encrypt(plain, [name])
        return _SEALED + bytes((len(name),)) + name + sealed

    def unseal(self, kept: bytes) -> tuple[bytes, bool]:
        """The body in what `seal` made, and whether it may be logged; what is no such thing is a body that may.

        Raises:
            UnsealedError: its key is not here any more, or it was changed.
        """
        if kept[:1] == _OPEN:
            return kept[2:], bool(kept[1])
        if kept[:1] != _SEALED:
            return kept, True
        end = 2 + kept[1]
        name = kept[2:end].decode(errors="replace")
        if name not in self._keys:
            known = ", ".join(self._keys) or "none"
            raise UnsealedError(
                f"it was sealed with the key {name!r}, and serving.privacy.keys has {known}: add it behind the newest again"
            )
        from cryptography.exceptions import InvalidTag

        try:
            plain = _cipher(self._keys[name]).decrypt(kept[end:], [kept[2:end]])
        except InvalidTag:
            raise UnsealedError(f"what was sealed with the key {name!r} was changed, or the key is another one now") from None
        return plain[1:], bool(plain[0])


def _text(value: Any) -> bytes:
    """What is hashed of a value: a text itself, of all else its JSON."""
    return value.encode() if isinstance(value, str) else to_json(value, serialize_unknown=True)


def _tokens_of(name: str, key: bytes) -> Callable[[bytes], str]:
    """HMAC-SHA-256 with a key, as what is written in the place of a text.

    To take in the key is most of what a hash of a short text costs, and an object of `hmac` is most of the rest: both hashes
    begin as RFC 2104 has it, once, and are copied for each text.
    """
    block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner, outer = (hashlib.sha256(block.translate(pad)).copy for pad in (_INNER, _OUTER))
    begin = f"{_BEGIN}{name}:"

    def token(text: bytes) -> str:
        first, second = inner(), outer()
        first.update(text)
        second.update(first.digest())
        return begin + second.hexdigest()[:_HEX]

    return token


def _rounding(step: float) -> Callable[[Any], Any]:
    """Down to a multiple of `step`; what is no number is masked."""
    keeps_integers = float(step).is_integer()

    def change(value: Any) -> Any:
        if type(value) is float and isfinite(value):
            return value // step * step
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == float("inf"):
            return MASK
        found = value // step * step
        return int(found) if isinstance(value, int) and keeps_integers else found

    return change


def _shortened(value: Any, mark: PersonalMark) -> Any:
    return str(value)[: mark.keep] if isinstance(value, str) else MASK


def _cipher(key: bytes) -> Any:
    """Encrypts by AES-SIV, which needs no number that is used once: a task that is submitted again is the same task."""
    # Most replicas seal nothing.
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(hashlib.sha512(b"heliostat: seal\0" + key).digest())
