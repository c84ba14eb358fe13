"""What an application says instead of an answer."""

from __future__ import annotations

from typing import Any


class HttpError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, detail: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"detail": self.detail}
