"""Keeps one comment of a kind on a pull request up to date."""

from __future__ import annotations

from collections.abc import Sequence

from heliostat.gitops.plan_comment import MARK
from heliostat.systems.errors import RetryableError
from heliostat.systems.forges import Comment, Forge


def keep_comment(forge: Forge, number: int, text: str, mark: str = MARK) -> None:
    """Have our comment on a pull request that begins with `mark`, as `text` does, say `text`: edited where it is there, made
    anew where somebody deleted it, or it may not be edited.

    Where the forge left it open whether it took the comment, it is looked up. Of two, as of two jobs that found none at the
    same time, the first one stays.

    Raises:
        PermanentError: the forge refuses.
        RetryableError: it does not answer.
    """
    there = _ours(forge, number, mark)
    kept = _edited(forge, number, there, text)
    if kept is None:
        _add(forge, number, text, mark)
        there = _ours(forge, number, mark)
        kept = _edited(forge, number, there, text)
    for each in there:
        if each != kept:
            forge.delete_comment(number, each.id)


def _edited(forge: Forge, number: int, there: Sequence[Comment], text: str) -> Comment | None:
    """The first of some comments that says a text, now or already; None where none may be edited."""
    return next((each for each in there if each.text == text or forge.edit_comment(number, each.id, text)), None)


def _add(forge: Forge, number: int, text: str, mark: str) -> None:
    try:
        forge.add_comment(number, text)
    except RetryableError:
        if find_comment(forge, number, mark) is None:
            forge.add_comment(number, text)


def find_comment(forge: Forge, number: int, mark: str = MARK) -> Comment | None:
    """Our comment on a pull request; None where there is none, or somebody took its mark away.

    Marks are known to everybody: what others wrote below one is theirs, and they may change it after we did.
    """
    return next(iter(_ours(forge, number, mark)), None)


def _ours(forge: Forge, number: int, mark: str) -> list[Comment]:
    own = forge.own_login
    return [each for each in forge.comments(number) if each.author == own and each.text.startswith(mark)]
