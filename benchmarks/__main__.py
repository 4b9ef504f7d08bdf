"""Run benchmarks: ``python -m benchmarks SUITE...``; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from benchmarks import contraction, csv_reading, label, limit, memory, startup, states
from benchmarks.harness import ROOT, Report, Settings, describe_machine, launch, python

AGGLOMERATION_TILES = 2_000_000
MULTIPLES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def agglomeration(settings: Settings, report: Report) -> None:
    """Agglomeration against scipy, in a process of its own."""
    report.heading("Agglomeration")
    sizes = {
        "--tiles": settings.at_most(AGGLOMERATION_TILES),
        "--runs": settings.runs,
        "--threads": settings.threads,
    }
    options = [text for name, value in sizes.items() for text in (name, str(value))]
    text = launch(python("-m", "benchmarks.agglomeration", *options)).output
    report.add_text("agglomeration", text)


SUITES: dict[str, Callable[[Settings, Report], None]] = {
    "contraction": contraction.run,
    "csv": csv_reading.run,
    "agglomeration": agglomeration,
    "memory": memory.run,
    "limit": limit.run,
    "label": label.run,
    "states": states.run,
    "startup": startup.run,
}


def count(text: str) -> int:
    """Return ``50M`` as 50000000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", text)
    number = Decimal(match[1]) * MULTIPLES[match[2]] if match else Decimal(0)
    if number < 1 or number != int(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number such as 100k or 50M")
    return int(number)


def main() -> None:
    """Run the suites that were asked for and print what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="+", choices=[*SUITES, "all"], metavar="SUITE")
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each contestant")
    parser.add_argument("--points", type=count, help="largest data set, e.g. 50M: for a trial")
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "bench-data")
    parser.add_argument("--json", type=Path, help="also write everything that was measured")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    settings = Settings(asked.runs, asked.threads, asked.data.resolve(), asked.points)
    report = Report(settings)
    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    report.note(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; {versions}; "
        f"{settings.threads} threads, {settings.runs} runs of each"
    )
    for name in SUITES if "all" in asked.suites else dict.fromkeys(asked.suites):
        SUITES[name](settings, report)
        if asked.json is not None:
            report.write(asked.json)


if __name__ == "__main__":
    main()
