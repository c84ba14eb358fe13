"""Writes the descriptors of the protocols that are not a contract's from their definitions; needs grpcio-tools.

`--check` writes nothing, and fails where a committed one is stale.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from textwrap import wrap

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

FOLDER = Path(__file__).parents[1] / "heliostat" / "serving" / "grpc"
NAMES = ("open_inference", "health")
_WIDTH = 110


def descriptor(name: str) -> bytes:
    """The serialised FileDescriptorProto of a definition."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "set")
        status = protoc.main(["protoc", f"-I{FOLDER}", f"--descriptor_set_out={target}", str(FOLDER / f"{name}.proto")])
        if status:
            raise SystemExit(status)
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file[0].SerializeToString(deterministic=True)


def module(name: str) -> str:
    """The text of the module that holds it."""
    lines = "\n".join(f'    "{line}"' for line in wrap(descriptor(name).hex(), _WIDTH))
    return (
        f'"""The descriptor of `{name}.proto`, written by `python -m scripts.protos`: do not edit."""\n\n'
        "from __future__ import annotations\n\nfrom typing import Final\n\n"
        f"DESCRIPTOR: Final = bytes.fromhex(\n{lines}\n)\n"
    )


def main() -> None:
    """Write or check all of them."""
    for name in NAMES:
        target, text = FOLDER / f"{name}.py", module(name)
        if "--check" not in sys.argv:
            target.write_text(text)
        elif not target.is_file() or target.read_text() != text:
            raise SystemExit(f"{target.name} is stale: run python -m scripts.protos")


if __name__ == "__main__":
    main()
