"""Writes the catalog of AWS's machines from the data that moto ships, which is what AWS's own API answered.

Run it when moto was updated, and review the difference: a machine that is gone is one that stacks may name.
"""

from __future__ import annotations

import gzip
import json
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

_FAMILIES = ("c7i", "m7i", "r7i", "g4dn", "g5", "g6", "gr6", "g6e", "g7e", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200")
_MEMORY_MIB = {("A100", 40960): "A100-40G", ("A100", 81920): "A100-80G"}
_NAMES = {"RTX PRO Server 6000": "RTX-PRO-6000"}
_RESOURCES = files("moto.ec2") / "resources"
TARGET = Path(__file__).parents[1] / "heliostat" / "spec" / "machines" / "data" / "aws.json"


def main() -> None:
    """Write the file."""
    TARGET.write_text(text())


def text() -> str:
    """The file, of the moto that is installed."""
    types = _read("instance_types.json.gz")
    chosen = {name: entry for name, entry in types.items() if name.split(".")[0] in _FAMILIES and ".metal" not in name}
    order = sorted(chosen, key=lambda name: (_vcpus(chosen[name]), _memory(chosen[name]), name))
    zones = _zones(frozenset(order))
    lines = [
        f'  "source": "DescribeInstanceTypes and DescribeInstanceTypeOfferings, as moto {version("moto")} has the answers",',
        '  "date": "2026",',
        '  "machines": {',
        ",\n".join(
            f"    {json.dumps(name)}: {json.dumps(_machine(chosen[name], zones[name]))}" for name in order if zones[name]
        ),
        "  }",
    ]
    return "{\n" + "\n".join(lines) + "\n}\n"


def _machine(entry: dict[str, Any], zones: dict[str, str]) -> dict[str, Any]:
    network = entry["NetworkInfo"]
    said: dict[str, Any] = {"vcpus": _vcpus(entry), "memoryGib": _memory(entry)}
    for gpu in entry.get("GpuInfo", {}).get("Gpus", ()):
        name = _MEMORY_MIB.get((gpu["Name"], gpu["MemoryInfo"]["SizeInMiB"]), _NAMES.get(gpu["Name"], gpu["Name"]))
        said |= {"accelerator": name, "accelerators": gpu["Count"]}
    # What the network plugin can give addresses to, as AWS's own table of pods a node has it.
    interfaces = sum(card["MaximumNetworkInterfaces"] for card in network["NetworkCards"][:1])
    said["pods"] = interfaces * (network["Ipv4AddressesPerInterface"] - 1) + 2
    return {**said, "zones": zones}


def _vcpus(entry: dict[str, Any]) -> int:
    return int(entry["VCpuInfo"]["DefaultVCpus"])


def _memory(entry: dict[str, Any]) -> float:
    return float(entry["MemoryInfo"]["SizeInMiB"]) / 1024


def _zones(names: frozenset[str]) -> dict[str, dict[str, str]]:
    """The letters of the zones that have a machine, by machine and region."""
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    folder = _RESOURCES / "instance_type_offerings" / "availability-zone"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        region = file.name.removesuffix(".json.gz")
        for offer in json.loads(gzip.decompress(file.read_bytes())):
            zone = offer["Location"]
            if offer["InstanceType"] in names and zone.startswith(region) and len(zone) == len(region) + 1:
                letters = found[offer["InstanceType"]].get(region, "") + zone[-1]
                found[offer["InstanceType"]][region] = "".join(sorted(letters))
    return found


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((_RESOURCES / name).read_bytes()))
    return found


if __name__ == "__main__":
    main()
