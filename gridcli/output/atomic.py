"""Never half a file: all outputs of a run appear together, when all are complete."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from gridcli.output.staging import (
    OutputFile,
    StagedFile,
    open_directly,
    refuse_newcomer,
    sync_folder,
)
from gridcli.output.targets import check_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class OutputSet:
    """The outputs of a run, written beside their targets and renamed at the end.

    Files are temporaries until `commit`; leaving the block without it removes them, and targets
    stay as they were. Standard output, FIFOs and devices are written directly, for what a pipe
    has taken cannot be taken back.

    Parameters
    ----------
    names : sequence of str
        Paths, ``-`` for standard output; the first is the primary output (``-o``), which is
        renamed last, so that its presence says that the others are there.
    overwrite : bool
        Existing files may be replaced.
    replaceable : collection of str
        Names that may be replaced in any case.
    inputs : iterable of Path
        Files that the run reads, none of which may be an output.

    Raises
    ------
    UsageError, OutputError
        See `gridcli.output.targets.check_targets`.

    Examples
    --------
    >>> with OutputSet(["hubs.geojson", "tiles.parquet"]) as outputs:  # doctest: +SKIP
    ...     write_layer(hubs, outputs["hubs.geojson"], "geojson")
    ...     write_layer(tiles, outputs["tiles.parquet"], "parquet")
    ...     outputs.commit()
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        overwrite: bool = False,
        replaceable: Collection[str] = (),
        inputs: Iterable[Path] = (),
    ) -> None:
        self._replaceable = names if overwrite else replaceable
        self._targets = {
            target.name: target
            for target in check_targets(names, replaceable=self._replaceable, inputs=inputs)
        }
        self._staged: dict[str, StagedFile] = {}
        self._direct: dict[str, OutputFile] = {}

    def __enter__(self) -> Self:
        try:
            for target in self._targets.values():
                if target.is_staged:
                    # Known before it is made, so that an interrupt in between leaves nothing.
                    staged = self._staged[target.name] = StagedFile(target)
                    staged.open()
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._discard()

    def __getitem__(self, name: str) -> OutputFile:
        """Return the file to write an output to, by the name it was given with."""
        if name in self._staged:
            return self._staged[name].file
        if name not in self._direct:
            self._direct[name] = open_directly(self._targets[name])
        return self._direct[name]

    def commit(
        self,
        hold: Callable[[], AbstractContextManager[None]] = nullcontext,
        only: Sequence[str] | None = None,
    ) -> None:
        """Put all files in their places, the primary output last.

        Parameters
        ----------
        hold : callable
            Returns a context in which no signal interrupts, entered for the renames alone.
        only : sequence of str, optional
            Publish these outputs and leave the others out.

        Raises
        ------
        OutputError
            A file could not be completed, or a target has appeared during the run and may not be
            overwritten; in both cases no target has been touched.
        """
        chosen = self._staged if only is None else self._staged.keys() & set(only)
        primary_last = [self._staged[name] for name in reversed(self._staged) if name in chosen]
        for staged in primary_last:
            staged.file.sync()
        with hold():
            for staged in primary_last:
                if staged.target.name not in self._replaceable:
                    refuse_newcomer(staged)
            for staged in primary_last:
                staged.publish()
        for folder in {staged.place.parent for staged in primary_last}:
            sync_folder(folder)

    def _discard(self) -> None:
        """Close all files and remove what has not been published."""
        for staged in self._staged.values():
            staged.discard()
        for file in self._direct.values():
            file.close()
