"""A small application that is there in no time: its workload lies below as in a repository of its own."""

from __future__ import annotations

from pathlib import Path

CODE = Path(__file__).parent
CONTRACT = "workloads.tiny.contract:CONTRACT"
