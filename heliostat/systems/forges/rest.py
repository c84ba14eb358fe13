"""What the forges' REST interfaces have in common: who asks, pages, refusals, and waiting where they ask to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import reason
from heliostat.systems.loopback import is_loopback

_SECONDS: Final = 30.0
_TRIES: Final = 4
_LONGEST_WAIT: Final = 60.0
"""Seconds that are waited for a forge in all; CI's time costs."""
_FIRST_WAIT: Final = 1.0
_PAGE: Final = 100
GONE_OR_REFUSED: Final = (403, 404)
"""What forges answer where a comment is deleted, or somebody else's."""
THERE_IS_ONE: Final = (409, 422)
"""What forges answer where a pull request of the same branches is open; 422, which GitHub answers, may mean others."""
_MOST_PAGES: Final = 50
MOST_RUNS: Final = 20
"""Runs of a CI system that are looked at, the last ones."""


class RestClient:
    """Speaks to one forge; `headers` carry the token, which stands in no message."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        rights: str,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url.rstrip("/")
        self._rights = rights
        """What the token needs, in the forge's own words."""
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=self._url, headers=headers, timeout=_SECONDS, transport=transport, trust_env=not is_loopback(url)
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        none_at: tuple[int, ...] = (),
        is_question: bool | None = None,
        may_be_empty: bool = False,
        **arguments: Any,
    ) -> Any:
        """The JSON of an answer; None where its status is one of `none_at`, or it is empty and may be.

        `is_question`: whether it changes nothing there, so that it may be asked twice; by default all but POST.

        Asks again where the forge has too much to do, or does not answer a question.

        Raises:
            PermanentError: it refuses.
            RetryableError: it does not answer, or wants to be left alone for longer.
        """
        answer = self._answer(method, path, method != "POST" if is_question is None else is_question, **arguments)
        if may_be_empty and answer.is_success and not answer.content:
            return None
        return self._read(answer, method, path, none_at)

    def _answer(self, method: str, path: str, may_be_repeated: bool = True, **arguments: Any) -> httpx.Response:
        waited, pause = 0.0, _FIRST_WAIT
        for left in reversed(range(_TRIES)):
            problem, after = "", pause
            try:
                answer = self._client.request(method, path, **arguments)
            except httpx.HTTPError as error:
                problem = f"the forge at {self._url} does not answer: {reason(error)}"
                if not may_be_repeated:
                    # It may have done it: whoever asks again looks first whether it is there.
                    raise RetryableError(problem) from None
            else:
                if not _is_busy(answer):
                    return answer
                problem = f"the forge at {self._url} answered {answer.status_code} to {method} {path}: {_said(answer)}"
                after = max(pause, _asked_to_wait(answer, time.time()))
            if not left or waited + after > _LONGEST_WAIT:
                raise RetryableError(f"{problem}; run it again later")
            self._sleep(after)
            waited, pause = waited + after, pause * 2
        raise AssertionError("the last try returns or raises")

    def pages(self, path: str, size: str, **parameters: Any) -> Iterator[Any]:
        """The items of a list, page by page; `size` is what the forge calls a page's length, of which some give less."""
        for page in range(1, _MOST_PAGES + 1):
            answer = self._answer("GET", path, params={**parameters, size: _PAGE, "page": page})
            yield from self._require_list(self._read(answer, "GET", path, ()), path)
            if "next" not in answer.links:
                return

    def listed(self, path: str) -> list[Any]:
        """The items of a list that has no pages."""
        return self._require_list(self.call("GET", path), path)

    def _require_list(self, found: Any, path: str) -> list[Any]:
        if not isinstance(found, list):
            raise PermanentError(f"{self._url}{path} wrote no list: is it the forge's API?")
        return found

    def _read(self, answer: httpx.Response, method: str, path: str, none_at: tuple[int, ...]) -> Any:
        if answer.status_code in none_at:
            return None
        if answer.is_redirect:
            # The token is for one forge: it goes to no other on the word of an answer.
            there = answer.headers.get("location", "another address")[:300]
            raise PermanentError(
                f"the forge at {self._url} answered {answer.status_code} to {method} {path}: it is at {there} now. Was the "
                "repository renamed? Name it in HELIOSTAT_FORGE_REPOSITORY, or the forge in HELIOSTAT_FORGE_URL"
            )
        if answer.status_code >= 400:
            fix = {
                401: "the token is not valid: is its variable set for this job?",
                403: f"the token may not: it needs {self._rights}",
                404: f"it is not there, or the token may not see it: it needs {self._rights}",
            }.get(answer.status_code, "the forge does not take it")
            told = f"{answer.status_code} to {method} {path}: {_said(answer)}"
            raise PermanentError(f"the forge at {self._url} answered {told}. {fix}")
        if not answer.content:
            raise RetryableError(
                f"the forge at {self._url} answered {answer.status_code} to {method} {path}, and wrote nothing"
            )
        try:
            return answer.json()
        except ValueError:
            raise PermanentError(f"{self._url}{path} wrote no JSON: is it the forge's API?") from None


def _is_busy(answer: httpx.Response) -> bool:
    """Whether the same may be asked later. GitHub says with a 403 that there were too many."""
    if answer.status_code == httpx.codes.FORBIDDEN:
        return answer.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in answer.headers
    return answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.status_code >= 500


def _asked_to_wait(answer: httpx.Response, now: float) -> float:
    """The seconds after which the forge wants to be asked again; 0 where it does not say."""
    after, reset = answer.headers.get("retry-after", ""), answer.headers.get("x-ratelimit-reset", "")
    if after.isdigit():
        return float(after)
    is_spent = answer.headers.get("x-ratelimit-remaining") == "0"
    return max(0.0, float(reset) - now) if is_spent and reset.isdigit() else 0.0


def _said(answer: httpx.Response) -> str:
    """What the forge says of a refusal, in one line."""
    try:
        body = answer.json()
    except ValueError:
        return " ".join(answer.text.split())[:300] or "nothing"
    if not isinstance(body, Mapping):
        return str(body)[:300]
    parts = [body.get("message") or body.get("error") or ""]
    parts += [
        each.get("message") or each.get("code", "") if isinstance(each, Mapping) else each for each in _list(body, "errors")
    ]
    return "; ".join(str(part) for part in parts if part)[:500] or "nothing"


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name)
    return found if isinstance(found, list) else []
