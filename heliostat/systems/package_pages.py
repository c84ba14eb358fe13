"""The pages of an object store that package installers read (PEP 503), as files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

from heliostat.spec.publications import ROOT_INDEX, Publication, PublicationKind, index_key, wheel_key
from heliostat.systems import publications
from heliostat.systems.objects import ObjectStore

_PAGE = """<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><meta name="pypi:repository-version" content="1.0"><title>{title}</title></head>
<body>
{links}</body>
</html>
"""


def write(store: ObjectStore, distribution: str) -> None:
    """Write the page of a distribution, and the one that names all, until they say what is there.

    Whoever writes a page last has read after writing: so it names every wheel, however many publish at once.
    """
    written = None
    while written != (found := _page_now(store, distribution)):
        store.put(index_key(distribution), found)
        written = found
    written = None
    while written != (found := root(publications.distributions(store))):
        store.put(ROOT_INDEX, found)
        written = found


def _page_now(store: ObjectStore, distribution: str) -> bytes:
    files = [info.key.rpartition("/")[2] for info in store.list(wheel_key(distribution, ""))]
    return page(distribution, publications.read(store, distribution), files)


def page(distribution: str, published: Sequence[Publication], files: Iterable[str]) -> bytes:
    """The page of a distribution: every wheel of the ledger that is among `files`, the newest last."""
    there = set(files)
    links = [
        f'<a href="../../files/{distribution}/{quote(each.file)}#sha256={each.sha256}" '
        f'data-requires-python="{escape(each.requires_python)}">{escape(each.file)}</a><br>\n'
        for each in published
        if each.kind is PublicationKind.BUILT and each.file in there
    ]
    return _PAGE.format(title=escape(distribution), links="".join(dict.fromkeys(links))).encode()


def root(distributions: Iterable[str]) -> bytes:
    """The page that names all distributions."""
    links = [f'<a href="{name}/">{escape(name)}</a><br>\n' for name in sorted(set(distributions))]
    return _PAGE.format(title="Packages", links="".join(links)).encode()
