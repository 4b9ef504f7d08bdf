"""Inputs: from what the user typed to a list of files, each with its format.

Files, directories, globs, lists of files and standard input (docs/contract.md, section 2). No
file is opened here unless its name does not tell its format.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gridcli.errors import InputError, UsageError
from gridcli.points.plan import Compression, Format, Input, ReadOptions
from gridcli.points.streams import STDIN, Streams

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".geoparquet": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".arrows": "ipc-stream",
}
COMPRESSED: dict[str, Compression] = {".gz": "gz", ".zst": "zst", ".bz2": "bz2"}

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "ipc"),
    (b"\xff\xff\xff\xff", "ipc-stream"),
)
_MAGIC_COMPRESSED: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"BZh", "bz2"),
)
MAGIC_BYTES = 8
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PARTITION = re.compile(r"([^=]+)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class _Found:
    """A file that an argument led to, before its format is known."""

    name: str
    partitions: dict[str, str] = field(default_factory=dict)
    in_folder: bool = False


def expand(
    inputs: Sequence[str], options: ReadOptions, streams: Streams | None = None
) -> tuple[Input, ...]:
    """Return the files that the user's arguments stand for, in order, each real file once.

    Parameters
    ----------
    inputs : sequence of str
        Files, directories (recursive), globs, ``@list.txt``, ``-``.
    options : ReadOptions
        `input_format` is used here.
    streams : Streams, optional
        Where standard input and named pipes are opened when their format must be seen; hand it
        on to the readers. Without it they are opened afresh.

    Raises
    ------
    InputError
        An argument is missing, unreadable, empty, or leads to no file.
    UsageError
        No argument at all, or a URI.
    """
    if not inputs:
        raise UsageError("No input: name files, directories or globs, or - for standard input.")
    streams = Streams() if streams is None else streams
    seen: set[tuple[int, int]] = set()
    result: list[Input] = []
    for argument in _arguments(inputs):
        n_files = 0
        for found in _resolve(argument):
            source, identity = _describe(found, options, streams)
            if source is None:
                continue
            n_files += 1
            if identity not in seen:
                seen.add(identity)
                result.append(source)
        if n_files == 0:
            raise InputError(
                f"{argument}: no data file there. Files with the suffixes "
                f"{', '.join(SUFFIXES)} are read (names that begin with _ or . are not)."
            )
    return tuple(result)


def read_next_time(
    inputs: Sequence[str], outputs: Sequence[str], options: ReadOptions
) -> Iterator[str]:
    """Yield those outputs, files or folders, that the user's folders and globs now lead to.

    Parameters
    ----------
    inputs : sequence of str
        As the user typed them.
    outputs : sequence of str
        They are there already.
    options : ReadOptions
    """
    places = {Path(name).resolve(): name for name in outputs if name != STDIN}
    written: dict[str, None] = {}
    for argument in inputs:
        if argument == STDIN or argument.startswith("@") or Path(argument).is_file():
            continue
        for found in _resolve(argument):
            path = Path(found.name).resolve()
            for place in (path, *path.parents):
                if place in places and _counts_in_folder(
                    path, _format_by_suffix(found.name), options
                ):
                    written[places[place]] = None
    yield from written


def _arguments(inputs: Sequence[str]) -> Iterator[str]:
    """Replace each ``@list`` by its lines."""
    for argument in inputs:
        if not argument.startswith("@"):
            yield argument
            continue
        try:
            lines = Path(argument[1:]).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise InputError(f"{argument[1:]}: not a list of files in UTF-8 text.") from None
        except OSError as error:
            raise _cannot_read(argument[1:], error) from error
        names = [line.strip() for line in lines]
        names = [name for name in names if name and not name.startswith("#")]
        if not names:
            raise InputError(f"{argument[1:]}: the list names no file.")
        # Standard input is read only where the user typed it.
        yield from (f"./{name}" if name == STDIN else name for name in names)


def _resolve(argument: str) -> Iterator[_Found]:
    """Yield the files that one argument leads to, sorted."""
    if argument == STDIN:
        yield _Found(STDIN)
        return
    if _URI.match(argument):
        raise UsageError(
            f"{argument}: reading from URIs is not supported yet. Copy the files to a local "
            "disk, or pipe one file in and give - as the input."
        )
    if os.path.lexists(argument):
        is_folder = Path(argument).is_dir()
        depth = len(Path(argument).parts)
        yield from _walk(argument, depth) if is_folder else (_Found(argument),)
        return
    if not glob.has_magic(argument):
        raise InputError(f"{argument}: no such file or directory.")
    matches = glob.glob(argument, recursive=True)  # noqa: PTH207 - Path takes no absolute ones
    matches.sort(key=lambda name: Path(name).parts)
    if not matches:
        raise InputError(f"{argument}: the pattern matches no file.")
    fixed = _parts_before_wildcard(argument)
    for match in matches:
        if not _asks_for_hidden(argument) and any(map(_is_hidden, Path(match).parts[fixed:])):
            continue
        if Path(match).is_dir():
            yield from _walk(match, fixed)
        else:
            yield _Found(match, _partitions(Path(match).parts[fixed:-1]))


def _is_hidden(name: str) -> bool:
    return name.startswith(("_", "."))


def _asks_for_hidden(pattern: str) -> bool:
    """Whether a pattern names files or folders that begin with _ or . itself."""
    return any(map(_is_hidden, Path(pattern).parts[_parts_before_wildcard(pattern) :]))


def _parts_before_wildcard(pattern: str) -> int:
    parts = Path(pattern).parts
    return next(i for i, part in enumerate(parts) if glob.has_magic(part))


def _walk(folder: str, depth: int) -> Iterator[_Found]:
    """Yield the files below a directory, sorted; each real directory is entered once.

    Folders from the `depth`-th part of the path on may spell partitions.
    """
    entered: set[tuple[int, int]] = set()

    def fail(error: OSError) -> None:
        raise _cannot_read(str(error.filename), error)

    for root, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        partitions = _partitions(Path(root).parts[depth:])
        for name in sorted(files):
            if not _is_hidden(name):
                yield _Found(str(Path(root) / name), partitions, in_folder=True)


def _partitions(folders: Sequence[str]) -> dict[str, str]:
    """Return the hive partition columns that folder names spell: ``key=value``."""
    matches = (_PARTITION.fullmatch(folder) for folder in folders)
    return {unquote(m[1]): unquote(m[2]) for m in matches if m}


def _describe(
    found: _Found, options: ReadOptions, streams: Streams
) -> tuple[Input | None, tuple[int, int]]:
    """Return the input and the identity of its file; no input where a folder's file is no data."""
    if found.name == STDIN:
        head = streams.head(STDIN, MAGIC_BYTES)
        return _stream_input(STDIN, head, options), (-1, -1)
    path = Path(found.name)
    try:
        status = path.stat()
    except OSError as error:
        raise _cannot_read(found.name, error) from error
    identity = status.st_dev, status.st_ino
    if not stat.S_ISREG(status.st_mode):
        if found.in_folder:
            return None, identity
        return _stream_input(found.name, streams.head(found.name, MAGIC_BYTES), options), identity
    named = _format_by_suffix(found.name)
    if found.in_folder and not _counts_in_folder(path, named, options):
        return None, identity
    if status.st_size == 0:
        raise InputError(f"{found.name}: empty file (0 bytes).")
    if not os.access(path, os.R_OK):
        raise InputError(f"{found.name}: no permission to read it.")
    format_, compression = named or (None, None)
    format_ = options.input_format or format_
    if format_ is None or (format_ == "csv" and compression is None):
        seen_format, compression = _format_by_magic(_head(path))
        format_ = format_ or seen_format
    source = Input(
        name=found.name,
        path=path,
        size_bytes=status.st_size,
        format=format_,
        compression=compression if format_ == "csv" else None,
        partitions=found.partitions,
    )
    return source, identity


def _stream_input(name: str, head: bytes, options: ReadOptions) -> Input:
    if not head:
        shown = "standard input" if name == STDIN else name
        raise InputError(f"{shown}: empty (0 bytes).")
    named = _format_by_suffix(name) or (None, None)
    seen_format, compression = _format_by_magic(head)
    format_ = options.input_format or named[0] or seen_format
    return Input(
        name=name,
        path=None,
        size_bytes=None,
        format=format_,
        compression=compression if format_ == "csv" else None,
    )


def _counts_in_folder(
    path: Path, named: tuple[Format, Compression | None] | None, options: ReadOptions
) -> bool:
    """Return whether a file met in a directory is data, rather than a note beside it."""
    if options.input_format is not None:
        return named is None or named[0] == options.input_format
    return named is not None or _head(path).startswith((b"PAR1", b"ARROW1"))


def _format_by_suffix(name: str) -> tuple[Format, Compression | None] | None:
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122 - Path would drop a trailing dot
    compression = COMPRESSED.get(suffix)
    if compression is not None:
        inner = SUFFIXES.get(os.path.splitext(stem)[1])  # noqa: PTH122
        return ("csv", compression) if inner == "csv" else None
    format_ = SUFFIXES.get(suffix)
    return None if format_ is None else (format_, None)


def _format_by_magic(head: bytes) -> tuple[Format, Compression | None]:
    """Return what the first bytes say; text, which has no magic bytes, is CSV."""
    for magic, format_ in _MAGIC:
        if head.startswith(magic):
            return format_, None
    for magic, compression in _MAGIC_COMPRESSED:
        if head.startswith(magic):
            return "csv", compression
    return "csv", None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAGIC_BYTES)
    except OSError as error:
        raise _cannot_read(str(path), error) from error


def _cannot_read(name: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: no such file or directory.")
    if isinstance(error, PermissionError):
        return InputError(f"{name}: no permission to read it.")
    return InputError(f"{name}: cannot be read: {error.strerror or error}.")
