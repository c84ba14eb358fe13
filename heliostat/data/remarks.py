"""What became of a column in words, where a distance alone does not say it plainly. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from heliostat.data.profiles import ColumnProfile, Numbers

_EXPLODED: Final = 10
"""Times as many different texts as before, from which on that is said."""
_FEW: Final = 100
"""Different texts that are never many."""


def remarks(then: ColumnProfile, now: ColumnProfile) -> Iterator[str]:
    """What is plainly wrong with a column that was otherwise in the reference."""
    if not now.present and then.present:
        yield "it is missing in every row"
        return
    if now.numbers is not None and now.numbers.count:
        yield from _of_numbers(then.numbers, now.numbers)
    if now.texts is not None and then.texts is not None and now.texts.count:
        before, here = then.texts.estimated_distinct, now.texts.estimated_distinct
        if here == 1 and before > 1:
            yield f"every value is {now.texts.values[0].as_py()!r}"
        elif now.texts.distinct is None and here > max(_FEW, _EXPLODED * before):
            yield f"{here:,} different texts, and there were {before:,}"  # of more the comparison says so itself


def _of_numbers(then: Numbers | None, now: Numbers) -> Iterator[str]:
    finite = now.finite
    if finite is None:
        yield "no value is a finite number" if now.nan < now.count else "every value is NaN"
        return
    odd = now.count - finite.moments.count
    if odd and then is not None and then.finite is not None and then.count == then.finite.moments.count:
        yield f"{odd:,} of {now.count:,} values are NaN or infinite, and none was"
    was_constant = then is not None and then.finite is not None and then.finite.least == then.finite.greatest
    if finite.least == finite.greatest and finite.moments.count > 1 and not was_constant:
        yield f"every {'finite ' if odd else ''}value is {finite.least:g}"
