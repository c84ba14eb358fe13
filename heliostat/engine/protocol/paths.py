"""Property paths, as `ignoreChanges`, `replaceOnChanges` and detailed diffs write them: `a.b[0]["c d"]`, `a[*].b`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r'\.?([^.\[\]"]+)|\.?\["((?:[^"\\]|\\.)*)"\]|\.?\[(\d+|\*)\]')


@dataclass(frozen=True)
class Path:
    """A path: names, positions and `*` for any of them."""

    parts: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str) -> Path:
        """Reads a path; what is no path at all counts as one name."""
        parts: list[str | int] = []
        position = 0
        while position < len(text):
            found = _PART.match(text, position)
            if not found:
                return cls((text,))
            name, quoted, index = found.groups()
            if index is not None:
                parts.append(index if index == "*" else int(index))
            else:
                parts.append(name if name is not None else re.sub(r"\\(.)", r"\1", quoted))
            position = found.end()
        return cls(tuple(parts))

    def contains(self, other: Path) -> bool:
        """Whether `other` is this path or lies below it."""
        if len(self.parts) > len(other.parts):
            return False
        return all(mine == "*" or mine == its for mine, its in zip(self.parts, other.parts, strict=False))
