"""Secrets protected by a passphrase, exactly as the official CLI's `passphrase` provider keeps them.

A stack's salt is `v1:<salt>:v1:<nonce>:<message>` in base64, whose message is the word `pulumi`, encrypted, so that a
wrong passphrase is noticed. The key is PBKDF2-SHA256 of passphrase and salt; a value is AES-256-GCM, `v1:<nonce>:<message>`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from heliostat.engine.stackerrors import PassphraseError, StackError

ITERATIONS = 1_000_000
_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 8, 12
_CHECK = "pulumi"
PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 -- the variable's name
PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105
_OWN = "HELIOSTAT_PASSPHRASE_"


def own_variable(stack: str) -> str:
    """The variable of one stack's own passphrase, where that of a job's other stacks is another."""
    return _OWN + re.sub("[^A-Z0-9]", "_", stack.upper())


def read_passphrase(environment: Mapping[str, str]) -> str:
    """The passphrase that the environment names; raises PassphraseError where it names none."""
    if PASSPHRASE in environment:
        return environment[PASSPHRASE]
    name = environment.get(PASSPHRASE_FILE)
    if not name:
        raise PassphraseError(
            f"the stack's secrets need a passphrase: set {PASSPHRASE}, or {PASSPHRASE_FILE} to a file that holds it"
        )
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PassphraseError(f"cannot read the passphrase from {name} ({PASSPHRASE_FILE}): {error}") from error


def _derive(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ITERATIONS, _KEY_BYTES)


def _encrypt(key: bytes, text: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    message = AESGCM(key).encrypt(nonce, text.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(message).decode()}"


def _decrypt(key: bytes, ciphertext: str) -> str:
    """Raises ValueError where the text is malformed or was made with another key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    parts = ciphertext.split(":")
    if len(parts) != 3 or parts[0] != "v1":
        raise ValueError("it is not of the form v1:NONCE:MESSAGE")
    try:
        nonce, message = base64.b64decode(parts[1], validate=True), base64.b64decode(parts[2], validate=True)
        if len(nonce) != _NONCE_BYTES:
            raise ValueError(f"its nonce has {len(nonce)} bytes instead of {_NONCE_BYTES}")
        return AESGCM(key).decrypt(nonce, message, None).decode()
    except InvalidTag:
        raise ValueError("it was encrypted with another key") from None
    except binascii.Error as error:
        raise ValueError(f"it is not base64: {error}") from None


class Crypter:
    """Encrypts and decrypts the secrets of one salt; the key, a fifth of a second's work, is made when first needed."""

    def __init__(self, salt: str, passphrase: str) -> None:
        """`salt` is the whole `encryptionsalt`; raises StackError where it is malformed."""
        version, _, rest = salt.partition(":")
        encoded, _, self._check = rest.partition(":")
        try:
            self._salt = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            self._salt = b""
        if version != "v1" or not self._salt or not self._check:
            raise StackError("the stack's encryptionsalt is malformed: it is v1:SALT:v1:NONCE:MESSAGE, made by `stack init`")
        self.salt = salt
        self._passphrase = passphrase
        self._key: bytes | None = None
        self._coming: Future[bytes] | None = None
        self._ciphertexts: dict[tuple[str, str], str] = {}

    @classmethod
    def new(cls, passphrase: str) -> Crypter:
        """A crypter with a new random salt."""
        salt = os.urandom(_SALT_BYTES)
        key = _derive(passphrase, salt)
        crypter = cls(f"v1:{base64.b64encode(salt).decode()}:{_encrypt(key, _CHECK)}", passphrase)
        crypter._key = key
        return crypter

    def prepare(self) -> None:
        """Begins to make the key beside whatever this process does meanwhile (hashlib lets go of the interpreter's lock)."""
        if self._key is None and self._coming is None:
            pool = ThreadPoolExecutor(1, thread_name_prefix="key")
            self._coming = pool.submit(_derive, self._passphrase, self._salt)
            pool.shutdown(wait=False)

    def verify(self) -> None:
        """Raises PassphraseError where the passphrase is not the salt's."""
        if self._key is not None:
            return
        key = self._coming.result() if self._coming else _derive(self._passphrase, self._salt)
        try:
            right = _decrypt(key, self._check) == _CHECK
        except ValueError:
            right = False
        if not right:
            raise PassphraseError(
                f"incorrect passphrase: the one in {PASSPHRASE} (or {PASSPHRASE_FILE}) is not the one that this stack's "
                "encryptionsalt was made with"
            )
        self._key = key

    def encrypt(self, text: str, place: str = "") -> str:
        """The ciphertext of `text`; a value that `place` held before keeps its ciphertext."""
        known = self._ciphertexts.get((place, text)) if place else None
        if known is not None:
            return known
        self.verify()
        assert self._key is not None  # noqa: S101 -- verify() made it
        made = _encrypt(self._key, text)
        if place:
            self._ciphertexts[(place, text)] = made
        return made

    def decrypt(self, ciphertext: str, place: str = "") -> str:
        """The text of a ciphertext, remembered for `place`; raises StackError where it is damaged or of another key."""
        self.verify()
        assert self._key is not None  # noqa: S101 -- verify() made it
        try:
            text = _decrypt(self._key, ciphertext)
        except ValueError as error:
            where = f" at {place}" if place else ""
            raise StackError(f"a secret{where} cannot be decrypted: {error}") from error
        if place:
            self._ciphertexts[(place, text)] = ciphertext
        return text


class Keyring:
    """The crypters of one process: one a salt, all with the same passphrase."""

    def __init__(self, environment: Mapping[str, str], ask: Callable[[], str] | None = None) -> None:
        """`ask` is called once where the environment names no passphrase; without it that is a PassphraseError."""
        self._environment = environment
        self._ask = ask
        self._asked: str | None = None
        self._crypters: dict[str, Crypter] = {}

    def of(self, salt: str) -> Crypter:
        """The crypter of `salt`; raises PassphraseError where no passphrase is set."""
        if salt not in self._crypters:
            self._crypters[salt] = Crypter(salt, self._passphrase())
        return self._crypters[salt]

    def new(self) -> Crypter:
        """A crypter with a new salt."""
        crypter = Crypter.new(self._passphrase())
        self._crypters[crypter.salt] = crypter
        return crypter

    def _passphrase(self) -> str:
        if self._asked is not None:
            return self._asked
        if self._ask and PASSPHRASE not in self._environment and not self._environment.get(PASSPHRASE_FILE):
            self._asked = self._ask()
            return self._asked
        return read_passphrase(self._environment)
