"""What resources of Google Cloud are called, and what every one of them gets."""

from __future__ import annotations

import re
from typing import Final

from heliostat.spec.base import Name
from heliostat.spec.platforms.base import OnDestroy
from heliostat.spec.platforms.cluster import Tags
from heliostat.spec.platforms.gcp import GcpPlatform

LONGEST_POOL: Final = 32
"""Of a node pool's name: Google Cloud takes 40 characters, of which a dash and seven digits are what makes it another one."""
_PREFIX: Final = re.compile(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?")


def prefix_of(spec: GcpPlatform, stack: str) -> str:
    """What names begin with.

    Raises:
        ValueError: the stack's name makes none, and the config says none.
    """
    found = spec.name or f"heliostat-{stack}"
    if not _PREFIX.fullmatch(found):
        raise ValueError(
            f"{found} cannot begin the names of Google Cloud's resources: at most 22 small letters, digits and dashes, a "
            "letter first and no dash last. Say `name` in the platform's config"
        )
    return found


def pool_name(group: Name, slice_number: int | None = None) -> str:
    """What the name of a group's node pool, or of that of one of its slices, begins with. It is unique in the cluster.

    Raises:
        ValueError: it is too long.
    """
    found = group if slice_number is None else f"{group}-{slice_number}"
    if len(found) > LONGEST_POOL:
        raise ValueError(f"the node pool {found} has a name of {len(found)} characters, and {LONGEST_POOL} are taken")
    return found


def labels_of(tags: Tags) -> dict[str, str]:
    """Tags as labels."""
    found = {"owner": tags.owner, "environment": tags.environment, "cost-centre": tags.cost_centre}
    return found | ({"expires": tags.expires} if tags.expires else {})


def keeps(spec: GcpPlatform) -> bool:
    """Whether data, and what it cannot be read without, outlives `destroy`."""
    return spec.on_destroy is OnDestroy.KEEP
