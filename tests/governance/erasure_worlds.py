"""What tests of deletions share: a store in which a person is, and one whose user is killed at a change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from personal_fakes import EMAIL, key

from heliostat.governance.erasing import Erasing, announcement_of
from heliostat.governance.subjects import Subject
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.erasure import ErasureProof
from heliostat.spec.personal import Privacy
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import open_store
from heliostat.systems.personal_keys import Keyring

OTHER = "grace@example.org"


class ErasureWorld:
    """The store of an application, and its privacy officer, who deletes Ada."""

    application = "loans"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.privacy = Privacy(keys=(key(folder, "k1"),))
        self.address = StoreAddress(uri=f"file://{folder}/objects")
        self.store = open_store(self.address)
        self.keys = Keyring.of(self.privacy.keys)
        self.subject = Subject.of("email", EMAIL, self.keys)

    def erase(self, store: Any = None) -> ErasureProof:
        """Delete the person; `store`: which is in the place of the own one, for what is changed."""
        announced = announcement_of(self.store, self.application, self.subject, "asked for")
        work = Erasing(self.address, announced, self.subject, lambda text: None)
        work._store = work._journal.store = store or self.store
        proof = work.run()
        work.keep(proof)
        return proof

    @property
    def proofs(self) -> list[ErasureProof]:
        """Those that were kept."""
        keys = [info.key for info in self.store.list("governance/") if info.key.endswith(".proof.json")]
        return [ErasureProof.model_validate_json(self.store.get(each)) for each in keys]


class Killed:
    """A store whose user is killed at a call that changes something."""

    def __init__(self, store: Any, after: int) -> None:
        self._store, self._left = store, after
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("put", "put_over", "delete", "put_file"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls > self._left:
                raise RetryableError("killed")
            return found(*args, **kwargs)

        return call
