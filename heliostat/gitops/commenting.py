"""Keeps one comment of a kind on a pull request up to date."""

from __future__ import annotations

from heliostat.gitops.plan_comment import MARK
from heliostat.systems.errors import RetryableError
from heliostat.systems.forges import Comment, Forge


def keep_comment(forge: Forge, number: int, text: str, mark: str = MARK) -> None:
    """Have our comment on a pull request that begins with `mark`, as `text` does, say `text`: edited where it is there, made
    anew where somebody deleted it, or it may not be edited.

    Where the forge left it open whether it took the comment, it is looked up: there never are two.

    Raises:
        PermanentError: the forge refuses.
        RetryableError: it does not answer.
    """
    there = find_comment(forge, number, mark)
    if there is not None and there.text == text:
        return
    if there is not None and forge.edit_comment(number, there.id, text):
        return
    try:
        forge.add_comment(number, text)
    except RetryableError:
        if find_comment(forge, number, mark) is None:
            forge.add_comment(number, text)


def find_comment(forge: Forge, number: int, mark: str = MARK) -> Comment | None:
    """Our comment on a pull request; None where there is none, or somebody took its mark away.

    Marks are known to everybody: what others wrote below one is theirs, and they may change it after we did.
    """
    own = forge.own_login
    return next((each for each in forge.comments(number) if each.author == own and each.text.startswith(mark)), None)
