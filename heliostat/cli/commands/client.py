"""`heliostat client`: a client package of a contract, as a wheel."""

from __future__ import annotations

from pathlib import Path

import click

from heliostat.cli import options, say


@click.command()
@click.argument("name")
@click.option("--contract", metavar="MODULE:NAME", help="Its contract; by default that of its folder.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("dist"), show_default=True, help="The wheel's folder.")
@click.option("--version", default="", metavar="VERSION", help="The wheel's; by default 1.0.0 and the contract's digest.")
@click.option("--most-rows", default=1000, show_default=True, type=click.IntRange(min=1), help="Rows that a request may have.")
@options.everywhere
def client(name: str, contract: str | None, out: Path, version: str, most_rows: int) -> None:
    """Write a client of workload NAME as a wheel: typed, with retries, for programs that have nothing of this library.

    It is made of the contract alone, and has a client over gRPC as well where `contract.proto` lies beside that.
    """
    from heliostat.cli.exits import UsageError
    from heliostat.cli.operators import contracts
    from heliostat.cli.session import Place
    from heliostat.clients.building import build
    from heliostat.clients.sources import ClientPackage
    from heliostat.serving.grpc.definition import define
    from heliostat.spec.proto import parse, text_of

    root = Place.here().require_project().root
    entry_point = contracts.entry_point_of(root, name, contract)
    found = contracts.contract_of(root, entry_point)
    path, definition = contracts.proto_path(root, entry_point), None
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        try:
            definition = parse(text)
            stale = text_of(define(found, name, definition)) != text
        except ValueError as error:
            raise UsageError(f"{path.relative_to(root)}: {error}") from None
        if stale:
            raise UsageError(f"{path.relative_to(root)} is not the contract's: `heliostat proto {name}` writes it")
    wheel = build(ClientPackage(name, found, most_rows, version, definition), out)
    say.out(f"Created {wheel}")
