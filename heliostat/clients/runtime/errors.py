"""What a client raises."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """A prediction that was not answered."""

    def __init__(self, text: str, request_id: str) -> None:
        super().__init__(text)
        self.request_id = request_id
        """Under which the application's log may know it."""


class RejectedError(ClientError):
    """The application does not take the request; to send it again is of no use."""

    def __init__(self, status: int, detail: Any, request_id: str) -> None:
        """`status`: of HTTP; `detail`: a text, or the mistakes, each with its path."""
        super().__init__(f"rejected with status {status}: {_text(detail)}", request_id)
        self.status = status
        self.problems: list[dict[str, Any]] = detail if isinstance(detail, list) else [{"loc": [], "msg": str(detail)}]


class UnavailableError(ClientError):
    """No answer came, however often it was asked; to ask later may help."""


class FailedError(ClientError):
    """The application failed on this request, or answered what its contract does not have."""


def _text(detail: Any) -> str:
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(f"{'.'.join(map(str, each.get('loc', [])))}: {each.get('msg')}" for each in detail)
