"""Writes the prices of AWS's machines from Karpenter's table of us-east-1 and what other regions cost beside it.

    python scripts/prices.py zz_generated.pricing_aws.go

AWS sells the machines of a family in another region at one and the same ratio to us-east-1, which is what is kept here for the
families that were looked at; what was not is not known. Spot prices are means over a region's zones on the day that is named.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_FAMILIES = (
    "c6i c7i m5 m6i m7i r6i r7i t3 t4g m6g m7g c7g r7g g4dn g5 g6 gr6 g6e g7e p4d p4de p5 p5e p5en p6-b200".split()  # noqa: SIM905
)
_RATIOS = {
    "us-west-2": {"m7i": 1.0, "g5": 1.0, "g6": 1.0, "g6e": 1.0, "p4d": 1.0, "p4de": 1.0, "p5": 1.0},
    "eu-west-1": {"m7i": 2.6964 / 2.4192, "g5": 2.73271 / 2.448, "p4d": 23.71569 / 21.957642},
    "eu-central-1": {
        "m7i": 2.898 / 2.4192,
        "g5": 3.06122 / 2.448,
        "g6": 1.65466 / 1.3232,
        "g6e": 13.12002 / 10.49264,
        "p4d": 27.43298 / 21.957642,
        "p4de": 34.29122 / 27.44705,
    },
}
_SPOT = {
    "us-east-1": {
        "g5.xlarge": 0.4824, "g5.4xlarge": 0.6877, "g5.8xlarge": 1.0006, "g6.xlarge": 0.4140, "g6.4xlarge": 0.5513,
        "g6.8xlarge": 0.8500, "g6e.12xlarge": 4.6881, "g6e.16xlarge": 1.7613, "g6e.24xlarge": 3.7489,
        "p4d.24xlarge": 10.9644, "p4de.24xlarge": 10.5928, "p5.48xlarge": 14.5655, "m7i.12xlarge": 0.8244,
        "m7i.16xlarge": 1.1481,
    },
    "us-west-2": {
        "g5.xlarge": 0.5357, "g5.4xlarge": 0.6515, "g5.8xlarge": 0.9738, "g6.xlarge": 0.4732, "g6.4xlarge": 0.7498,
        "g6.8xlarge": 0.9925, "g6e.12xlarge": 4.5099, "g6e.16xlarge": 3.1804, "g6e.24xlarge": 6.3706,
        "p4d.24xlarge": 9.5432, "p4de.24xlarge": 13.4606, "p5.48xlarge": 21.9468, "m7i.12xlarge": 0.9684,
    },
    "eu-west-1": {
        "g5.xlarge": 0.5361, "g5.8xlarge": 1.3593, "p4d.24xlarge": 11.5480, "m7i.12xlarge": 1.2896, "m7i.2xlarge": 0.2244,
    },
    "eu-central-1": {
        "g5.xlarge": 0.7105, "g5.8xlarge": 0.9162, "g6.xlarge": 0.3700, "g6.4xlarge": 0.5784, "g6.8xlarge": 0.6637,
        "g6e.12xlarge": 3.7820, "g6e.16xlarge": 2.3622, "g6e.24xlarge": 4.8356, "p4d.24xlarge": 8.5660, "m7i.12xlarge": 0.9923,
        "m7i.2xlarge": 0.2432,
    },
}  # fmt: skip
_SOURCES = [
    "on demand in us-east-1: karpenter-provider-aws, zz_generated.pricing_aws.go of 2026-07-20 (from AWS's price list)",
    "on demand elsewhere, and spot: skypilot-catalog e385a0d3, catalogs/v8/aws/vms.csv (from AWS's price lists), by family",
    "services in us-east-1: infracost 95ba4f49, its tests' results (from AWS's price list)",
]
_EVERYWHERE = {"clusterHour": 0.10, "keyMonth": 1.0, "publicAddressHour": 0.005}
_SERVICES = {
    "us-east-1": {
        "natGatewayHour": 0.045, "loadBalancerHour": 0.0225, "interfaceEndpointHour": 0.01, "bucketGibMonth": 0.023,
        "volumeGibMonth": {"gp3": 0.08, "gp2": 0.10},
        "database": {
            "db.t3.large": [0.145, None], "db.t4g.medium": [0.065, 0.129],
            "storageGibMonth": {"gp2": [0.115, 0.23], "gp3": [0.115, 0.23]},
        },
    },
}  # fmt: skip


def main() -> None:
    """Write the file."""
    found = {
        name: float(price)
        for name, price in re.findall(r'"([a-z0-9-]+\.[a-z0-9-]+)": ([0-9.]+)', Path(sys.argv[1]).read_text())
    }
    base = {name: price for name, price in found.items() if name.split(".")[0] in _FAMILIES and ".metal" not in name}
    machines = {"us-east-1": base, **{region: _scaled(base, ratios) for region, ratios in _RATIOS.items()}}
    document: dict[str, Any] = {
        "sources": _SOURCES,
        "date": "2026-07-20",
        "everywhere": _EVERYWHERE,
        "services": _SERVICES,
        "machines": {
            region: {name: _both(region, name, price) for name, price in sorted(prices.items())}
            for region, prices in machines.items()
        },
    }
    target = Path(__file__).parents[1] / "heliostat" / "pricing" / "data" / "aws.json"
    text = json.dumps(document, indent=1)
    target.write_text(
        re.sub(r"\[\s+([^\[\]]+?)\s+\]", lambda each: "[" + re.sub(r"\s+", " ", each.group(1)) + "]", text) + "\n"
    )


def _scaled(base: dict[str, float], ratios: dict[str, float]) -> dict[str, float]:
    return {name: round(price * ratios[family], 5) for name, price in base.items() if (family := name.split(".")[0]) in ratios}


def _both(region: str, name: str, price: float) -> list[float | None]:
    """On demand and spot, a dollar an hour; None where it is not known."""
    return [price, _SPOT.get(region, {}).get(name)]


if __name__ == "__main__":
    main()
