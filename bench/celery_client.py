"""Submits tasks to Celery: `python -m bench.celery_client N`; prints when it began, Unix time."""

from __future__ import annotations

import sys
import time

import click

from bench.celery_app import double


def submit(count: int) -> float:
    """Submit so many, one after another; when the first was."""
    double.delay('{"value":0}').forget()  # connects
    began = time.time()
    for n in range(count):
        double.delay(f'{{"value":{n}}}')
    return began


if __name__ == "__main__":
    click.echo(repr(submit(int(sys.argv[1]))))
