"""Comparing whole processes: alternated, timed from outside, with their memory.

Nothing heavy may be imported here. Linux hands a process's peak memory down to the children it
starts, so whoever measures children must itself stay small.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MB = 10**6
READ_BYTES = 1 << 22


@dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    Attributes
    ----------
    runs : int
        Timed runs of each contestant, after one to warm up.
    threads : int
        Given to every contestant.
    data_dir : Path
        Where data sets are kept.
    most_points : int or None
        No data set is larger; None: the full sizes.
    """

    runs: int
    threads: int
    data_dir: Path
    most_points: int | None = None

    def at_most(self, points: int) -> int:
        """Return a number of points, cut to what was asked for."""
        return points if self.most_points is None else min(points, self.most_points)


@dataclass(frozen=True)
class Finished:
    """A process that ended well.

    Attributes
    ----------
    wall_s, user_s, system_s : float
    peak_bytes : int
        Peak resident memory.
    output : str
        Its standard output.
    """

    wall_s: float
    user_s: float
    system_s: float
    peak_bytes: int
    output: str


@dataclass(frozen=True)
class Contestant:
    """A command to be timed.

    Attributes
    ----------
    name : str
    command : tuple of str
    environment : dict of str to str
        Added to this process's own.
    before : tuple of str
        A command that is run before each run, and not timed; empty: none.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """How many times as fast as a peer a contestant is to be; None: only to be shown."""

    contestant: str
    peer: str
    factor: float | None = None


@dataclass(frozen=True)
class Case:
    """The measured runs of one comparison.

    Attributes
    ----------
    title : str
    runs : dict of str to list of Finished
        By contestant; the i-th runs of all belong together.
    targets : tuple of Target
    """

    title: str
    runs: dict[str, list[Finished]]
    targets: tuple[Target, ...] = ()

    def ratios(self, contestant: str, peer: str) -> list[float]:
        """Return how many times as long the peer took, pair by pair."""
        pairs = zip(self.runs[peer], self.runs[contestant], strict=True)
        return [theirs.wall_s / ours.wall_s for theirs, ours in pairs]


def python(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs this Python with arguments."""
    return (sys.executable, *arguments)


def gridcli(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs gridcli: the installed script, else the package here."""
    script = Path(sys.executable).with_name("gridcli")
    return (str(script), *arguments) if script.exists() else python("-m", "gridcli", *arguments)


def launch(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command from the root of the repository and measure it.

    Raises
    ------
    RuntimeError
        It failed; the text holds what it said.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode()
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-4000:]
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return Finished(wall_s, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * kilobyte, text)


def warm(paths: Iterable[Path]) -> None:
    """Read files once, so that they lie in the page cache."""
    buffer = bytearray(READ_BYTES)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def require_equal(contestants: Iterable[Contestant], keys: Sequence[str]) -> dict[str, int]:
    """Run each once; return the numbers under `keys` that all of them print as JSON.

    Raises
    ------
    RuntimeError
        They differ.
    """
    found = {
        each.name: {
            key: value
            for key, value in json.loads(launch(each.command, each.environment).output).items()
            if key in keys
        }
        for each in contestants
    }
    first: dict[str, int] = next(iter(found.values()))
    if set(first) != set(keys) or any(numbers != first for numbers in found.values()):
        raise RuntimeError(f"the results differ, so nothing is timed: {found}")
    return first


def alternate(
    title: str,
    contestants: Sequence[Contestant],
    runs: int,
    targets: Iterable[Target] = (),
    *,
    warm_up: bool = True,
) -> Case:
    """Time contestants in turn, A B C A B C ..., after one untimed run of each."""
    measured: dict[str, list[Finished]] = {each.name: [] for each in contestants}
    for turn in range(-1 if warm_up else 0, runs):
        for each in contestants:
            if each.before:
                launch(each.before)
            finished = launch(each.command, each.environment)
            if turn >= 0:
                measured[each.name].append(finished)
            note = "warm-up" if turn < 0 else f"{turn + 1}/{runs}"
            print(f"  {title}: {each.name} {note} {finished.wall_s:.2f} s", file=sys.stderr)
    return Case(title, measured, tuple(t for t in targets if t.peer in measured))


class Report:
    """Prints each case as it is done, and keeps it for the JSON file."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cases: list[dict[str, Any]] = []

    def heading(self, text: str) -> None:
        """Print a heading."""
        print(f"\n## {text}\n", flush=True)

    def note(self, text: str) -> None:
        """Print a paragraph."""
        print(f"{text}\n", flush=True)

    def add(self, case: Case, **facts: Any) -> None:
        """Print the tables of a case and keep it; `facts` go into the JSON file with it."""
        print(f"### {case.title}\n")
        rows = [
            (
                name,
                _median_and_spread([run.wall_s for run in runs], 3),
                f"{statistics.median(run.user_s + run.system_s for run in runs):.2f}",
                f"{max(run.peak_bytes for run in runs) / MB:.0f}",
            )
            for name, runs in case.runs.items()
        ]
        print_table(("process", "seconds: median (spread)", "CPU s", "peak MB"), rows)
        ratios = [(target, case.ratios(target.contestant, target.peer)) for target in case.targets]
        if ratios:
            print_table(
                ("times as fast", "median (spread)", "wanted", ""),
                [_ratio_row(target, values) for target, values in ratios],
            )
        self._cases.append(
            {
                "title": case.title,
                "runs": {
                    name: [
                        {key: value for key, value in asdict(run).items() if key != "output"}
                        for run in runs
                    ]
                    for name, runs in case.runs.items()
                },
                "ratios": [{**asdict(target), "values": values} for target, values in ratios],
                **facts,
            }
        )

    def add_text(self, title: str, text: str) -> None:
        """Print and keep what a benchmark of its own printed."""
        print(text, flush=True)
        self._cases.append({"title": title, "text": text})

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        record = {
            "machine": describe_machine(),
            "runs": self._settings.runs,
            "threads": self._settings.threads,
            "most_points": self._settings.most_points,
            "cases": self._cases,
        }
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def verdict(*, is_met: bool) -> str:
    """Return the word for a figure that was wanted."""
    return "met" if is_met else "MISSED"


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for cells in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, versions."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": sys.version.split()[0]}
    for package in ("duckdb", "numba", "numpy", "polars", "pyarrow", "scipy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    processor = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 10**9, 1),
        "versions": versions,
    }


def _median_and_spread(values: Sequence[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _ratio_row(target: Target, values: Sequence[float]) -> tuple[str, str, str, str]:
    pair = f"{target.contestant} against {target.peer}"
    spread = _median_and_spread(values, 2)
    if target.factor is None:
        return pair, spread, "", ""
    is_met = statistics.median(values) >= target.factor
    return pair, spread, f"{target.factor:g}", verdict(is_met=is_met)
