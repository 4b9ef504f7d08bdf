"""All inputs as one sequence of chunks."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from gridcli.errors import UsageError
from gridcli.points import columns, geometry, names
from gridcli.points.coordinates import require_numeric
from gridcli.points.plan import ColumnPlan, Input, InputFile, ReadOptions
from gridcli.points.room import Room
from gridcli.points.sources import expand
from gridcli.points.streams import Spool, Streams
from gridcli.runtime.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gridcli.points.batch import Chunk, PointBatch
    from gridcli.points.columns import ColumnChoice
    from gridcli.points.filters import RowFilter

ALL_COLUMNS = ("*",)


class PointReader(Closing):
    """Reads points from files, directories, globs, lists and standard input.

    The first input is opened here, so that wrong options show before anything is read; the
    others when their turn comes. A file is closed as soon as its last chunk is decoded.

    Parameters
    ----------
    inputs : sequence of str, or of Input
        As the user typed them, or `sources` of another reader.
    options : ReadOptions
    choose : callable, optional
        Given all inputs, returns those to read, at least one; what it raises is passed on.

    Attributes
    ----------
    inputs : tuple of Input
    sources : tuple of Input
        The same; with `ReadOptions.keep_streams` they can all be read again, while this reader is
        open: streams are copies of them.
    total_bytes : int or None
        None where an input's size is not known.
    first_choice : ColumnChoice
        Coordinate columns of the first input.
    choice : str
        The same in words, to be said once.
    notes : list of str
        What a later input does differently; grows while reading.
    schema_of_first : pyarrow.Schema
    room : Room
        What large pieces of the inputs take of the memory.

    Raises
    ------
    InputError
        An input is missing, unreadable or empty, or the first is corrupt.
    UsageError
        The coordinate columns are missing or ambiguous in the first input.
    """

    def __init__(
        self,
        inputs: Sequence[str] | Sequence[Input],
        options: ReadOptions,
        choose: Callable[[Sequence[Input]], Sequence[Input]] | None = None,
    ) -> None:
        self._options = options
        self._filter = _parse_filter(options)
        self._streams = Streams()
        self._kept: list[Spool] = []
        self._opened: dict[int, _TrackedFile] = {}  # streams, whose schema has been asked for
        self._open_files: set[_TrackedFile] = set()
        self._lock = Lock()
        self.room = Room(options.memory_bytes)
        self._is_closed = False
        self.notes: list[str] = []
        try:
            typed = [each for each in inputs if isinstance(each, str)]
            known = [each for each in inputs if isinstance(each, Input)]
            self.inputs = tuple(known or expand(typed, options, self._streams))
            if choose is not None:
                self.inputs = tuple(choose(self.inputs))
            self.sources = tuple(map(self._kept_source, self.inputs))
            sizes = [source.size_bytes for source in self.sources]
            told = [size for size in sizes if size is not None]
            self.total_bytes = sum(told) if len(told) == len(sizes) else None
            self._first, self.first_choice, self._first_plan = self._open(0)
            self.schema_of_first = self._first.file.schema
        except BaseException:
            self.close()
            raise
        self.choice = self.first_choice.text

    def chunks(self) -> Iterator[OrderedChunk]:
        """Yield the pieces of all inputs in order. Called once; used by one thread at a time.

        Raises
        ------
        InputError
            An input cannot be opened, or is corrupt.
        UsageError
            A later input has no coordinate columns of its own, or only some inputs are labelled.
        """
        position = 0
        tracked, plan = self._first, self._first_plan
        for index in range(len(self.inputs)):
            if index > 0:
                tracked, choice, plan = self._open_later(index)
                if choice != self.first_choice:
                    self.notes.append(
                        f"{self.inputs[index].name}: {choice.text}, unlike {self.inputs[0].name}"
                    )
            for chunk in tracked.file.chunks(plan, index):
                tracked.begin_chunk()
                yield OrderedChunk(
                    chunk.input_index, chunk.chunk_index, chunk.n_bytes, position, chunk, tracked
                )
                position += 1
            tracked.end_of_chunks()

    def close(self) -> None:
        """Release all file handles; safe to call twice and while chunks are unread."""
        with self._lock:
            self._is_closed = True
            files = list(self._open_files)
        for tracked in files:
            tracked.close()
        for spool in self._kept:
            spool.close()
        self._streams.close()

    def schemas(self) -> Iterator[tuple[str, Any]]:
        """Yield the name and the pyarrow.Schema of every input, in order, before any is read.

        Each file is opened for it and closed again; streams stay open until their turn.

        Raises
        ------
        InputError
            An input cannot be opened.
        UsageError
            A later input has no coordinate columns of its own, or only some inputs are labelled.
        """
        yield self.inputs[0].name, self.schema_of_first
        for index in range(1, len(self.inputs)):
            tracked, _, _ = self._open_later(index)
            yield self.inputs[index].name, tracked.file.schema
            if self.sources[index].path is None:
                self._opened[index] = tracked
            else:
                tracked.close()

    def _kept_source(self, source: Input) -> Input:
        """Return a source that can be read again, if that is wanted."""
        if source.path is not None or not self._options.keep_streams:
            return source
        spool = Spool(source, self._streams.take(source.name), self._options.temp_dir)
        self._kept.append(spool)
        return spool.source

    def _open(self, index: int) -> tuple[_TrackedFile, ColumnChoice, ColumnPlan]:
        source = self.sources[index]
        tracked = self._opened.pop(index, None) or self._track(
            *_open_input(source, self._options, self._streams, self.room)
        )
        schema = tracked.file.schema
        choice = columns.choose(schema, self._options, source.name)
        return tracked, choice, self._plan(schema, choice, source.name)

    def _open_later(self, index: int) -> tuple[_TrackedFile, ColumnChoice, ColumnPlan]:
        first = self.inputs[0].name
        try:
            opened = self._open(index)
        except UsageError as error:
            raise UsageError(
                f"Mixed schemas: {error} The first input, {first}, has the columns "
                f"{names.listed(self.schema_of_first.names)}."
            ) from error
        later = self.inputs[index].name, opened[0].file.schema
        columns.require_labels_in_all((first, self.schema_of_first), later)
        return opened

    def _plan(self, schema: Any, choice: ColumnChoice, name: str) -> ColumnPlan:
        if choice.geometry is not None:
            geometry.require_points(schema, choice.geometry, name)
        for column in (choice.x, choice.y):
            if column is not None:
                require_numeric(schema, column, name)
        options = self._options
        extra: Sequence[str] = options.extra_columns
        if options.extra_columns == ALL_COLUMNS:
            extra = schema.names
        extra = [names.find(schema.names, column, name) for column in extra]
        for column in extra:
            names.require_unique(schema.names, column, name)
        return ColumnPlan(
            x=choice.x,
            y=choice.y,
            geometry=choice.geometry,
            scale=None if choice.geometry is not None else options.scale,
            row_filter=None if self._filter is None else self._filter.bind(schema),
            extra=tuple(extra),
            keep_origin=options.keep_origin,
            late=options.late_columns,
        )

    def _track(self, file: InputFile, spool: Spool | None) -> _TrackedFile:
        tracked = _TrackedFile(file, spool, self._forget)
        with self._lock:
            self._open_files.add(tracked)
            is_closed = self._is_closed
        if is_closed:
            tracked.close()
        return tracked

    def _forget(self, tracked: _TrackedFile) -> None:
        with self._lock:
            self._open_files.discard(tracked)


def first_schema(inputs: Sequence[str], options: ReadOptions) -> tuple[Input, Any]:
    """Return the first input and its schema, whether or not it has columns of coordinates.

    Parameters
    ----------
    inputs : sequence of str
        As the user typed them.
    options : ReadOptions

    Returns
    -------
    source : Input
    schema : pyarrow.Schema

    Raises
    ------
    InputError
        An input is missing, unreadable or empty, or the first is corrupt.
    """
    streams = Streams()
    try:
        source = expand(inputs, options, streams)[0]
        file, spool = _open_input(source, options, streams, Room(options.memory_bytes))
        try:
            return source, file.schema
        finally:
            file.close()
            if spool is not None:
                spool.close()
    finally:
        streams.close()


@dataclass
class OrderedChunk:
    """A chunk of one of several inputs (a `Chunk`).

    Attributes
    ----------
    input_index, chunk_index, n_bytes : int
        As of `Chunk`.
    position : int
        0-based place in the order in which `PointReader.chunks` yields.
    """

    input_index: int
    chunk_index: int
    n_bytes: int
    position: int
    chunk: Chunk
    file: _TrackedFile

    @property
    def n_lines(self) -> int | None:
        """As of `Chunk`."""
        return self.chunk.n_lines

    def decode(self) -> Iterator[PointBatch]:
        """Yield the batches of the chunk, in order; its file is closed after the last chunk."""
        try:
            yield from self.chunk.decode()
        finally:
            self.file.end_chunk()


class _TrackedFile:
    """An opened input that closes itself once all of its chunks are decoded."""

    def __init__(self, file: InputFile, spool: Spool | None, forget: Any) -> None:
        self.file = file
        self._spool = spool
        self._forget = forget
        self._undecoded = 1  # the one stands for chunks still to come
        self._lock = Lock()

    def begin_chunk(self) -> None:
        with self._lock:
            self._undecoded += 1

    def end_chunk(self) -> None:
        with self._lock:
            self._undecoded -= 1
            is_done = self._undecoded == 0
        if is_done:
            self.close()

    def end_of_chunks(self) -> None:
        self.end_chunk()

    def close(self) -> None:
        self.file.close()
        if self._spool is not None:
            self._spool.close()
        self._forget(self)


def _parse_filter(options: ReadOptions) -> RowFilter | None:
    if not options.where:
        return None
    from gridcli.points.filters import RowFilter

    return RowFilter.parse(options.where)


def _open_input(
    source: Input, options: ReadOptions, streams: Streams, room: Room
) -> tuple[InputFile, Spool | None]:
    """Open one input with the reader of its format; streams that need seeking are spooled."""
    spool = None
    if source.path is None and source.format in {"parquet", "ipc"}:
        spool = Spool(source, streams.take(source.name), options.temp_dir)
        source = spool.source
    try:
        return _open_format(source, options, streams, room), spool
    except BaseException:
        if spool is not None:
            spool.close()
        raise


def _open_format(source: Input, options: ReadOptions, streams: Streams, room: Room) -> InputFile:
    stream = streams.take(source.name) if source.path is None else None
    if source.format == "parquet":
        from gridcli.points.parquet import open_parquet

        return open_parquet(source, room)
    if source.format == "ipc":
        from gridcli.points.ipc import open_ipc_file

        return open_ipc_file(source, room)
    if source.format == "ipc-stream":
        from gridcli.points.ipc import open_ipc_stream

        return open_ipc_stream(source, room, stream)
    from gridcli.points.csv import open_csv

    return open_csv(source, options, stream)
