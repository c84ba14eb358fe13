"""`heliostat proto`: a contract's own definition in Protocol Buffers, kept in the workload's folder."""

from __future__ import annotations

import click

from heliostat.cli import options, say


@click.command()
@click.argument("name")
@click.option("--contract", metavar="MODULE:NAME", help="Its contract; by default that of its folder.")
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 where the file is not the contract's.")
@options.everywhere
def proto(name: str, contract: str | None, check: bool) -> int:
    """Write the definition of workload NAME for gRPC: `contract.proto` beside its contract.

    A field that is there keeps its number, one that is new gets the next, and the number of one that is gone, or has another
    type, is reserved. Commit the file: clients know fields by their numbers.
    """
    from heliostat.cli.exits import Exit, UsageError
    from heliostat.cli.operators import contracts
    from heliostat.cli.session import Place
    from heliostat.serving.grpc.definition import define
    from heliostat.spec.proto import parse, text_of

    root = Place.here().require_project().root
    entry_point = contracts.entry_point_of(root, name, contract)
    path = contracts.proto_path(root, entry_point)
    shown = path.relative_to(root)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    try:
        kept = parse(before) if before else None
        text = text_of(define(contracts.contract_of(root, entry_point), name, kept))
    except ValueError as error:
        raise UsageError(f"{shown}: {error}") from None
    if text == before:
        say.out(f"{shown} is the contract's.")
        return Exit.OK
    if check:
        say.told(f"{shown} is not the contract's: `heliostat proto {name}` writes it")
        return Exit.FAILED
    path.write_text(text, encoding="utf-8")
    say.out(f"{'Changed' if before else 'Created'} {shown}")
    return Exit.OK
