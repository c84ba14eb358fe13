"""Masks that vanish in the sum: secure aggregation as Bonawitz et al. 2017 have it, for a coordinator that keeps to the rules.

Each two sites share a mask that one adds and the other subtracts; each has one of its own besides. The secrets that both come
from are split among all, so that the others can undo what a site that left had in the sum: of a site whose update is summed
they tell the own mask's seed, of one that left the key of the shared ones, never both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from heliostat.federated import exact, shamir
from heliostat.federated.exact import Words

_BYTES: Final = 32
_NONCE: Final = 12


class MaskError(ValueError):
    """Shares or keys that do not belong together, or an answer that would tell too much."""


@dataclass(frozen=True)
class PublicKeys:
    """What a site tells of its keys of one attempt, each 32 bytes."""

    cipher: bytes
    """For shares that go to it by way of the coordinator."""
    mask: bytes
    """For the masks that it shares with others."""


@dataclass
class SiteSecrets:
    """A site's side of one attempt of a round; kept in its memory alone."""

    name: str
    context: bytes
    """Names training, round and attempt, so that no key means anything in another."""
    cipher_key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    mask_key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    own_seed: bytes = field(default_factory=lambda: os.urandom(_BYTES))
    _answered: tuple[frozenset[str], frozenset[str]] | None = None

    @property
    def public(self) -> PublicKeys:
        """What the others are told."""
        return PublicKeys(self.cipher_key.public_key().public_bytes_raw(), self.mask_key.public_key().public_bytes_raw())

    def shares(self, members: Mapping[str, PublicKeys], threshold: int) -> dict[str, bytes]:
        """Split both secrets among the members, each part readable by its member alone; itself included."""
        names = sorted(members)
        of_key = shamir.split(self.mask_key.private_bytes_raw(), threshold, len(names))
        of_seed = shamir.split(self.own_seed, threshold, len(names))
        return {
            name: self._box(members[name], self.name, name).encrypt(bytes(_NONCE), part_of_key + part_of_seed, self.context)
            for name, part_of_key, part_of_seed in zip(names, of_key, of_seed, strict=True)
        }

    def masked(self, words: Words, masking: Mapping[str, PublicKeys]) -> Words:
        """A vector with this site's own mask and those that it shares with each of the `masking` sites."""
        masked = exact.add(words, _stream(self.own_seed, len(words)))
        for name, keys in masking.items():
            if name != self.name:
                masked = exact.add(masked, shared_mask(self.mask_key, keys, self.context, (self.name, name), len(words)))
        return masked

    def reveal(
        self,
        boxes: Mapping[str, bytes],
        members: Mapping[str, PublicKeys],
        summed: Sequence[str],
        left: Sequence[str],
        threshold: int,
    ) -> dict[str, bytes]:
        """This site's parts of the own seeds of those that are `summed`, and of the keys of those that `left`.

        Raises:
            MaskError: fewer than the threshold are summed, a site is in both, or it was asked otherwise before.
        """
        asked = frozenset(summed), frozenset(left)
        if asked[0] & asked[1] or len(asked[0]) < threshold or self.name not in asked[0]:
            raise MaskError("the coordinator asks for more than the sum of enough sites: nothing is told")
        if self._answered not in (None, asked):
            raise MaskError("the coordinator asks again for another sum of the same round: nothing is told")
        self._answered = asked
        parts = {}
        for name in (*summed, *left):
            opened = self._opened(boxes[name], members[name], name)
            parts[name] = opened[-shamir.SHARE_BYTES :] if name in asked[0] else opened[: shamir.SHARE_BYTES]
        return parts

    def _opened(self, box: bytes, keys: PublicKeys, sender: str) -> bytes:
        try:
            return self._box(keys, sender, self.name).decrypt(bytes(_NONCE), box, self.context)
        except InvalidTag:
            raise MaskError(f"what {sender} split was changed on its way") from None

    def _box(self, keys: PublicKeys, sender: str, receiver: str) -> ChaCha20Poly1305:
        """One cipher a direction and attempt, so that each key encrypts one message."""
        secret = self.cipher_key.exchange(X25519PublicKey.from_public_bytes(keys.cipher))
        return ChaCha20Poly1305(_derived(secret, self.context + f"|{sender}>{receiver}".encode()))


def shared_mask(key: X25519PrivateKey, other: PublicKeys, context: bytes, pair: tuple[str, str], size: int) -> Words:
    """The mask that the first of a pair shares with the second, as the first has it: the second's is its negation."""
    secret = key.exchange(X25519PublicKey.from_public_bytes(other.mask))
    mask = _stream(_derived(secret, context + "|".join(["", *sorted(pair)]).encode()), size)
    return mask if pair[0] < pair[1] else exact.negated(mask)


def unmasked(
    total: Words,
    context: bytes,
    members: Mapping[str, PublicKeys],
    summed: Sequence[str],
    left: Sequence[str],
    revealed: Mapping[str, Mapping[str, bytes]],
) -> Words:
    """The sum of the vectors that are `summed`, from the sum of the masked ones and what sites revealed.

    Args:
        total: The sum of the masked vectors of `summed`.
        context: Of the attempt.
        members: Those that split their secrets, with their keys; parts are numbered by their names in order.
        summed: Whose vectors are in the sum.
        left: Who shared masks and sent none.
        revealed: By the site that tells, its parts by the site that they are of; as many as the threshold at least.

    Raises:
        MaskError: parts do not give back a secret.
    """
    names = sorted(members)
    numbers = {name: number for number, name in enumerate(names, 1)}

    def secret_of(owner: str) -> bytes:
        try:
            return shamir.joined({numbers[teller]: parts[owner] for teller, parts in revealed.items()})
        except (KeyError, ValueError):
            raise MaskError(f"the parts of the secret of {owner} do not belong together") from None

    for name in summed:
        total = exact.add(total, exact.negated(_stream(secret_of(name), len(total))))
    for gone in left:
        key = X25519PrivateKey.from_private_bytes(secret_of(gone))
        if key.public_key().public_bytes_raw() != members[gone].mask:
            raise MaskError(f"the parts of the key of {gone} give another key")
        for name in summed:
            # As the one that left would have had it: the other's negation, so that they vanish.
            total = exact.add(total, shared_mask(key, members[name], context, (gone, name), len(total)))
    return total


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _BYTES, salt=None, info=info).derive(secret)


def _stream(seed: bytes, size: int) -> Words:
    """Numbers that look drawn, the same for the same seed."""
    encryptor = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(encryptor.update(bytes(16 * size)), "<u8").astype(np.uint64).reshape(size, 2)
