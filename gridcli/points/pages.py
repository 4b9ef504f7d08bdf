"""How large the pages of a Parquet file are: what pyarrow must hold at once to read a column.

A page is decompressed as a whole. Most writers keep pages to about 1 MB, but some write each column
of a row group as one page. Sizes of pages stand in their headers only, amid the data.
Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase

from gridcli.points.pieces import DamagedError, read_piece
from gridcli.points.thrift import CompactReader

DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2 = 0, 2, 3
DICTIONARY_COPIES = 2
"""A dictionary is held as its page and once more decoded (measured, pyarrow 26.0)."""
_UNCOMPRESSED = 0

_FILE_FIELDS = {4: {1: {3: {3: None, 4: None, 6: None, 7: None, 9: None, 11: None}}}}
"""Row groups; their columns; the metadata of each, and of it path, codec, sizes and offsets."""
_PAGE_FIELDS = {1: None, 2: None, 3: None}
_TAIL_BYTES = 8
_HEADER_BYTES = 256
"""More than most page headers take; those with long statistics are read again, with more."""
_MAX_HEADER_BYTES = 16 << 20


@dataclass(frozen=True)
class Page:
    """What the header of a page says.

    Attributes
    ----------
    kind : int
        `DATA_PAGE`, `DICTIONARY_PAGE`, `DATA_PAGE_V2`, or another.
    uncompressed_bytes, compressed_bytes : int
    """

    kind: int
    uncompressed_bytes: int
    compressed_bytes: int


@dataclass(frozen=True)
class ColumnChunk:
    """One column of a row group, as the footer has it.

    Attributes
    ----------
    root : str
        Name of the column of the schema that it belongs to; a struct has one chunk a leaf.
    is_compressed : bool
    uncompressed_bytes, compressed_bytes : int
        Headers included.
    offset : int
        Where its first page stands in the file.
    """

    root: str
    is_compressed: bool
    uncompressed_bytes: int
    compressed_bytes: int
    offset: int


@dataclass(frozen=True)
class PageNeed:
    """What the pages of a row group take.

    Attributes
    ----------
    largest_bytes : int
        The largest page, uncompressed.
    total_bytes : int
        Held at once at most: a page of every column, its dictionary twice, and one compressed
        page.
    """

    largest_bytes: int
    total_bytes: int


def column_chunks(file: RawIOBase) -> list[list[ColumnChunk]]:
    """Return the column chunks of every row group, from the footer.

    Parameters
    ----------
    file : unbuffered binary file
        Can be read at any place.

    Raises
    ------
    DamagedError
        The footer is corrupt.
    """
    end = os.fstat(file.fileno()).st_size - _TAIL_BYTES
    footer_bytes = int.from_bytes(read_piece(file, end, _TAIL_BYTES)[:4], "little")
    footer = CompactReader(read_piece(file, end - footer_bytes, footer_bytes)).struct(_FILE_FIELDS)
    try:
        return [[_column_chunk(column[3]) for column in row_group[1]] for row_group in footer[4]]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DamagedError("the footer lacks a field") from error


def _column_chunk(fields: dict[int, object]) -> ColumnChunk:
    path, codec, uncompressed, compressed, data, dictionary = (
        fields.get(number) for number in (3, 4, 6, 7, 9, 11)
    )
    if not (
        isinstance(path, list)
        and isinstance(path[0], bytes)
        and isinstance(uncompressed, int)
        and isinstance(compressed, int)
        and isinstance(data, int)
    ):
        raise DamagedError("the footer lacks a field")
    # Some writers say 0 where there is no dictionary.
    is_first = isinstance(dictionary, int) and 0 < dictionary < data
    return ColumnChunk(
        root=path[0].decode("utf-8", "replace"),
        is_compressed=codec != _UNCOMPRESSED,
        uncompressed_bytes=uncompressed,
        compressed_bytes=compressed,
        offset=dictionary if isinstance(dictionary, int) and is_first else data,
    )


def pages(file: RawIOBase, offset: int, n_bytes: int) -> Iterator[Page]:
    """Yield the pages that stand one after the other in a piece of a file.

    Parameters
    ----------
    file : unbuffered binary file
        Can be read at any place.
    offset, n_bytes : int
        The piece: a column chunk.

    Raises
    ------
    DamagedError
        A header is corrupt.
    """
    end = offset + n_bytes
    while offset < end:
        fields, header_bytes = _page_header(file, offset, end)
        page = Page(*(fields.get(number, -1) for number in _PAGE_FIELDS))
        if not all(isinstance(size, int) and size >= 0 for size in vars(page).values()):
            raise DamagedError("a page header lacks a field")
        yield page
        offset += header_bytes + page.compressed_bytes
    if offset > end:
        raise DamagedError("a page is longer than its column")


def _page_header(file: RawIOBase, offset: int, end: int) -> tuple[dict[int, int], int]:
    size = _HEADER_BYTES
    while True:
        reader = CompactReader(read_piece(file, offset, min(size, end - offset)))
        try:
            return reader.struct(_PAGE_FIELDS), reader.position
        except DamagedError:
            if size >= min(end - offset, _MAX_HEADER_BYTES):
                raise
        size *= 16


def page_need(file: RawIOBase, chunks: Sequence[ColumnChunk], small_bytes: int) -> PageNeed:
    """Return what the pages of some column chunks of one row group take.

    Parameters
    ----------
    file : unbuffered binary file
        Can be read at any place.
    chunks : sequence of ColumnChunk
        Of the columns that are read.
    small_bytes : int
        Columns no larger than this are taken for one page, and not looked into.

    Raises
    ------
    DamagedError
        A page header is corrupt.
    """
    largest = total = compressed = 0
    for column in chunks:
        dictionary, data = 0, Page(DATA_PAGE, column.uncompressed_bytes, column.compressed_bytes)
        if column.uncompressed_bytes > small_bytes:
            found = list(pages(file, column.offset, column.compressed_bytes))
            of_data = [page for page in found if page.kind != DICTIONARY_PAGE]
            dictionary = sum(
                page.uncompressed_bytes for page in found if page.kind == DICTIONARY_PAGE
            )
            data = max(
                of_data, key=lambda page: page.uncompressed_bytes, default=Page(DATA_PAGE, 0, 0)
            )
        largest = max(largest, data.uncompressed_bytes, dictionary)
        total += DICTIONARY_COPIES * dictionary + data.uncompressed_bytes
        if column.is_compressed:
            compressed = max(compressed, data.compressed_bytes)
    return PageNeed(largest, total + compressed)
