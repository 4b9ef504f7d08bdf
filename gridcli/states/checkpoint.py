"""Checkpoints: what a long contraction has counted so far, safe from anything that kills it.

A checkpoint is a folder with two files: runs of tiles, which only grows, and a record of how much
of it counts, which is replaced in one step. What a dead run appended after its last record is cut
off by the next.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridcli.errors import InputError, OutputError, UsageError
from gridcli.output.lock import writer_lock
from gridcli.output.staging import sync_folder
from gridcli.runtime.spill import Extent, KeptFile
from gridcli.states.compatible import THIS_RUN, compare_rules
from gridcli.states.content import canonical_json
from gridcli.states.info import InputRecord, StateInfo, check_version, from_record, to_record
from gridcli.tiles.partitions import PartitionRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gridcli.points.batch import RowCounts

RECORD_NAME = "checkpoint.json"
TILES_NAME = "checkpoint.tiles"
KIND = "checkpoint"


class Checkpoint:
    """An open checkpoint (a `Checkpointing` of `gridcli.raster.counting`).

    Parameters
    ----------
    folder : Path
    info : StateInfo
        Grid and rules of the contraction; row counts and inputs of what is saved already.
    spill : KeptFile
    runs : sequence of PartitionRun
    every_s : float
        Seconds between two checkpoints, at least.
    clock : callable
        The time in seconds.

    Attributes
    ----------
    inputs : sequence of InputRecord
        The inputs that this run reads, in their order; to be set before it begins.
    """

    def __init__(
        self,
        folder: Path,
        info: StateInfo,
        spill: KeptFile,
        runs: Sequence[PartitionRun],
        *,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.info = info
        self.spill = spill
        self.runs = runs
        self.inputs: Sequence[InputRecord] = ()
        self._every_s = every_s
        self._clock = clock
        self._last = clock()
        self._saved: dict[int, Extent] = {}

    @property
    def counts(self) -> RowCounts:
        """Rows of what is saved already."""
        return self.info.counts

    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for another one."""
        return self._clock() - self._last >= self._every_s

    def save(self, runs: Sequence[PartitionRun], counts: RowCounts, n_inputs: int) -> None:
        """Save all tiles and rows counted so far.

        Parameters
        ----------
        runs : sequence of PartitionRun
            All that the tile table has spilled, and what was there before.
        counts : RowCounts
        n_inputs : int
            Inputs of this run that are counted.

        Raises
        ------
        ResourceError
            The disk is full; the checkpoint before is still good.
        """
        extents = [self._extent_of(run) for run in runs]
        self.spill.sync()
        done = (*self.info.inputs, *self.inputs[:n_inputs])
        record = {
            **to_record(replace(self.info, counts=counts, inputs=done)),
            "kind": KIND,
            "runs": [[extent.offset, extent.size] for extent in extents],
            "bytes": self.spill.size,
        }
        _replace(self.folder / RECORD_NAME, _sealed(record))
        self._last = self._clock()

    def remove(self) -> None:
        """Remove the checkpoint: the run is done."""
        self.spill.close()
        for name in (RECORD_NAME, TILES_NAME):
            with suppress(FileNotFoundError):
                (self.folder / name).unlink()

    def _extent_of(self, run: PartitionRun) -> Extent:
        """Write where a run's blocks are, once for each run."""
        if id(run) not in self._saved:
            self._saved[id(run)] = run.save()
        return self._saved[id(run)]


@contextmanager
def new_checkpoint(folder: Path, info: StateInfo, *, every_s: float) -> Iterator[Checkpoint]:
    """Begin a checkpoint in a folder that has none, and lock it.

    Raises
    ------
    OutputError
        The folder holds a checkpoint, is in use by another run, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made: {error.strerror}. Name a folder that can be, on a disk "
            "that can be written to."
        ) from error
    with _locked(folder):
        if (folder / RECORD_NAME).exists():
            raise OutputError(
                f"{folder} holds the checkpoint of another run; go on with it by --resume "
                f"{folder}, or remove the folder."
            )
        with KeptFile(folder / TILES_NAME) as spill:
            checkpoint = Checkpoint(folder, info, spill, [], every_s=every_s)
            try:
                yield checkpoint
            finally:
                if not (folder / RECORD_NAME).exists():
                    checkpoint.remove()  # nothing to resume


@contextmanager
def resumed_checkpoint(folder: Path, info: StateInfo, *, every_s: float) -> Iterator[Checkpoint]:
    """Go on with the checkpoint of a folder, and lock it.

    Parameters
    ----------
    folder : Path
    info : StateInfo
        Grid and rules of this run.
    every_s : float

    Raises
    ------
    InputError
        There is no checkpoint, or it is corrupt, or of a newer version.
    UsageError
        Its run counted other tiles, or other rows.
    OutputError
        Another run is using it.
    """
    if not folder.exists():
        raise InputError(
            f"{folder} does not exist, so there is no checkpoint to go on from: either the run "
            "that used it has ended well, or the name is another. Begin anew with --checkpoint "
            f"{folder}."
        )
    if not (folder / RECORD_NAME).exists():
        raise InputError(
            f"{folder} holds no checkpoint: the run that used it has ended well, or was stopped "
            f"before its first one. Begin anew with --checkpoint {folder}."
        )
    with _locked(folder):
        record, saved = _read(folder)
        # Which columns are read is known once the inputs are open: see `check_resumable`.
        columns = replace(info.rules, columns=saved.rules.columns)
        differences = compare_rules(
            (str(folder), saved),
            (THIS_RUN, replace(info, rules=columns)),
            otherwise="begin anew with --checkpoint and another folder",
        )
        if differences:
            raise UsageError(f"{differences[0]}. Resume with the options that it began with.")
        extents = [Extent(offset, size) for offset, size in record["runs"]]
        with KeptFile(folder / TILES_NAME, record["bytes"]) as spill:
            runs = [PartitionRun.load(spill, extent) for extent in extents]
            yield Checkpoint(folder, saved, spill, runs, every_s=every_s)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Be the only run that uses the folder; leave none behind that is empty."""
    try:
        with writer_lock(str(folder / RECORD_NAME)):
            yield
    finally:
        with suppress(OSError):
            folder.rmdir()


def _read(folder: Path) -> tuple[dict[str, Any], StateInfo]:
    """Return the record of a checkpoint, and what it says of the rows counted so far."""
    path = folder / RECORD_NAME
    try:
        seal, _, body = path.read_bytes().partition(b"\n")
        if seal != hashlib.sha256(body).hexdigest().encode("ascii"):
            raise InputError(f"{path}: corrupt: wrong checksum. Begin anew with another folder.")
        record = json.loads(body)
        check_version(str(path), record)
        if record["kind"] != KIND:
            raise InputError(f"{path}: not the record of a checkpoint.")
        found = from_record(record)
        there = (folder / TILES_NAME).stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    if there < record["bytes"]:
        raise InputError(
            f"{folder / TILES_NAME}: truncated: it holds {there:,} of {record['bytes']:,} bytes. "
            "Begin anew with another folder."
        )
    return record, found


def _sealed(record: dict[str, Any]) -> bytes:
    """Return a record as JSON, its checksum on a line before it."""
    body = canonical_json(record).encode("ascii")
    return hashlib.sha256(body).hexdigest().encode("ascii") + b"\n" + body


def _replace(path: Path, data: bytes) -> None:
    """Replace a small file in one step, safe on the disk when this returns."""
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error
    sync_folder(path.parent)


def check_resumable(checkpoint: Checkpoint, plan: StateInfo, given: Sequence[InputRecord]) -> None:
    """Refuse streams, other columns, and inputs among which one that is counted is missing.

    Parameters
    ----------
    checkpoint : Checkpoint
    plan : StateInfo
        Grid and rules of this run, its columns too, which the checkpoint takes over.
    given : sequence of InputRecord
        All inputs of this run.

    Raises
    ------
    UsageError
    """
    for each in given:
        if each.fingerprint is None:
            raise UsageError(
                f"a run that reads {each.shown} cannot be resumed, for what was read of it is "
                "gone. Write it to a file first."
            )
    columns = checkpoint.info.rules.columns
    if columns not in {(), plan.rules.columns}:
        raise UsageError(
            f"{checkpoint.folder} has counted the columns {', '.join(columns)}, and this run would "
            f"read {', '.join(plan.rules.columns)}. Resume with the options that it began with."
        )
    checkpoint.info = replace(checkpoint.info, rules=plan.rules)
    here = Counter(each.identity for each in given)
    for each in checkpoint.info.inputs:
        here[each.identity] -= 1
        if here[each.identity] < 0:
            raise UsageError(
                f"{checkpoint.folder} has counted {each.shown}, which is not among the inputs as "
                "it was then. Name the same inputs, or begin anew with another folder."
            )
