"""The pass that writes labelled rows, for the commands that have one."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridcli.cli.values import is_standard_stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridcli.cli.rows import RowTarget
    from gridcli.dims.grid import DimsGrid
    from gridcli.dims.hubs import DimsHubs
    from gridcli.grid.grid import Grid
    from gridcli.labelling.columns import RowColumns
    from gridcli.labelling.formats import RowWriter
    from gridcli.labelling.membership import HubNames, Keys, Positions
    from gridcli.labelling.run import Labelled
    from gridcli.output.layer import Sink
    from gridcli.points.plan import ReadOptions
    from gridcli.points.reader import PointReader
    from gridcli.points.rejects import RejectsWriter
    from gridcli.raster.counting import RowRules
    from gridcli.raster.model import Hubs
    from gridcli.runtime.progress import Progress
    from gridcli.runtime.signals import StopFlag
    from gridcli.runtime.workspace import Workspace


@dataclass(frozen=True)
class RowPass:
    """A pass over the inputs that writes their rows.

    Attributes
    ----------
    target : RowTarget
    columns : RowColumns
    grid : Grid
    record : dict
        The ``gridcli`` record of the file.
    dims : DimsGrid or None
        What the keys of tiles are of, where it is not `grid`.
    """

    target: RowTarget
    columns: RowColumns
    grid: Grid
    record: dict[str, Any]
    dims: DimsGrid | None = None

    def write(
        self,
        reader: PointReader,
        blocks: Iterable[tuple[Keys, Positions]],
        names: HubNames,
        rules: RowRules,
        place: Sink | Path,
        space: Workspace,
        *,
        progress: Progress,
        stop: StopFlag,
        rejects: RejectsWriter | None = None,
    ) -> Labelled:
        """Read the inputs and write their rows; see `gridcli.labelling.run.label_rows`.

        `place` is a file, or a folder that is empty. `names` may be complete only when all
        `blocks` have been taken.
        """
        from functools import partial

        from gridcli.dims.binning import DimsProjector
        from gridcli.labelling.membership import membership_of
        from gridcli.labelling.run import Labelling, label_rows
        from gridcli.runtime.workers import call

        membership = call(partial(membership_of, blocks, space), stop)
        labelling = Labelling(
            self.grid,
            membership,
            names,
            self.columns,
            self.target.keep_noise,
            None if self.dims is None else partial(DimsProjector, self.dims),
        )
        writer = self._writer(place)
        return label_rows(
            reader,
            labelling,
            rules,
            writer,
            space,
            progress=progress,
            stop=stop,
            rejects=rejects,
        )

    def check(self) -> None:
        """Refuse columns that the format has no place for.

        Raises
        ------
        UsageError
        """
        self._writer(Path() if self.target.partition_by else io.BytesIO())

    def file(self, labelled: Labelled) -> dict[str, Any]:
        """Return what a summary says of the rows."""
        target = self.target
        return {
            "layer": "points",
            "path": target.path,
            "format": target.form,
            "rows": labelled.written,
        }

    def _writer(self, place: Any) -> RowWriter:
        from gridcli.labelling import formats
        from gridcli.labelling.run import row_schema

        schema = row_schema(self.columns, keep_noise=self.target.keep_noise)
        if not self.target.partition_by:
            return formats.row_writer(
                schema,
                place,
                self.target.form,
                record=self.record,
                geo=self.columns.geo,
                is_pipe=is_standard_stream(self.target.path),
            )
        from gridcli.labelling.partitions import PartitionedRows

        metadata = formats.row_metadata(self.record, self.columns.geo)
        return PartitionedRows(
            schema,
            self.target.partition_by,
            lambda stored: formats.parquet_encoder(stored, metadata),
            place,
            Path(self.target.path),
        )


def row_pass(
    target: RowTarget,
    reader: PointReader,
    grid: Grid,
    record: dict[str, Any],
    dims: DimsGrid | None = None,
) -> RowPass:
    """Return the pass that writes the rows of a reader, once their columns are known to fit.

    Raises
    ------
    UsageError
        The inputs' columns cannot be joined, or a column has no place in the format.
    """
    from gridcli.labelling.columns import added_columns, columns_of

    columns = columns_of(reader.schemas(), added_columns(keep_noise=target.keep_noise))
    found = RowPass(target, columns, grid, record, dims)
    found.check()
    return found


def all_columns(options: ReadOptions, dims: DimsGrid | None = None) -> ReadOptions:
    """Return reading options that hand on all columns, decoded only where rows are written.

    Where tiles have further dimensions, these are columns, so that all are decoded at once.
    """
    from gridcli.points.reader import ALL_COLUMNS

    return replace(options, extra_columns=ALL_COLUMNS, late_columns=dims is None)


def write_points(
    second: RowPass,
    reader: PointReader,
    hubs: Hubs | DimsHubs,
    rules: RowRules,
    options: ReadOptions,
    place: Sink | Path,
    space: Workspace,
    *,
    progress: Progress,
    stop: StopFlag,
) -> dict[str, Any]:
    """Read the inputs of a reader again and write their rows; return what a summary says of them.

    Parameters
    ----------
    second : RowPass
    reader : PointReader
        Has kept its streams.
    hubs : Hubs or DimsHubs
    rules : RowRules
        Of the first pass, which has counted the bad rows.
    options : ReadOptions
        Of the first pass.
    place : Sink or Path
        A file, or a folder that is empty.
    space : Workspace
    progress : Progress
    stop : StopFlag
    """
    from gridcli.dims.hubs import DimsHubs
    from gridcli.grid.keys import pack
    from gridcli.labelling.membership import HubNames
    from gridcli.points.reader import PointReader

    blocks: Iterable[tuple[Keys, Positions]]
    if isinstance(hubs, DimsHubs):
        blocks, hubs = [(hubs.tiles.keys, hubs.hub)], hubs.plane
    else:
        blocks = ((pack(tiles.x, tiles.y), hub) for tiles, hub in hubs.labelled_blocks())
    again = all_columns(replace(options, keep_origin=False, keep_streams=False), second.dims)
    with PointReader(reader.sources, again) as rows:
        labelled = second.write(
            rows,
            blocks,
            HubNames(hubs.hub_id, hubs.hub_key),
            replace(rules, max_bad=None),
            place,
            space,
            progress=progress,
            stop=stop,
        )
    return second.file(labelled)


def labelled_line(labelled: Labelled) -> dict[str, int]:
    """Return what a summary says of labelled rows."""
    return {"in_hubs": labelled.in_hubs, "written": labelled.written}
