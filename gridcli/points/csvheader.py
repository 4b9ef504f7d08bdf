"""What the beginning of a CSV file tells: that it is text, its delimiter, its columns."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pacsv

from gridcli.errors import InputError, UsageError
from gridcli.points.csvblocks import BlockReader
from gridcli.points.csvrecords import count_lines, first_record
from gridcli.points.numbers import parse_numbers

if TYPE_CHECKING:
    from gridcli.points.plan import Input

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between cells, the most usual first."""

_SIGNATURE_BYTES = 8
_FIRST_LOOK_BYTES = 1 << 16
_HEADER_LIMIT_BYTES = 1 << 20
_SIGNATURES = {
    b"\x1f\x8b": "a gzip file (.gz)",
    b"\x28\xb5\x2f\xfd": "a zstd file (.zst)",
    b"BZh9": "a bzip2 file (.bz2)",
    b"PK\x03\x04": "a zip file, as .xlsx is too",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
}
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Header:
    """How the records of a CSV file are built.

    Attributes
    ----------
    delimiter : str
        One ASCII character.
    names : tuple of str
        Columns in the order of the file.
    n_lines : int
        Lines of the file that stand before the first record of data.
    """

    delimiter: str
    names: tuple[str, ...]
    n_lines: int


def read_header(source: Input, reader: BlockReader, columns: tuple[str, ...] | None) -> Header:
    """Read the beginning of a file, and leave `reader` at the first record of data.

    Parameters
    ----------
    source : Input
    reader : BlockReader
    columns : tuple of str or None
        Names for the columns of a file without a header.

    Raises
    ------
    InputError
        The file is empty, or no text in UTF-8.
    UsageError
        `columns` does not fit, or is missing: the first record holds numbers only.
    """
    head = reader.head(max(_SIGNATURE_BYTES, min(_FIRST_LOOK_BYTES, reader.block_bytes)))
    _check_text(source, head)
    bom_bytes = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    reader.skip(bom_bytes)
    head = head[bom_bytes:]
    while True:
        delimiter = _sniff(source, head)
        # Where the file ends, its last line does too, and an empty one follows.
        bounds = first_record(head + b"\n\n" if reader.ended else head, delimiter.encode())
        if bounds is not None or reader.ended or len(head) >= _HEADER_LIMIT_BYTES:
            break
        head = reader.head(2 * max(len(head), _SIGNATURE_BYTES))
    if bounds is None:
        if columns is None:
            raise _no_header(source, head)
        return Header(delimiter, columns, 0)
    start, end, after = bounds
    text = head[start:end].decode("utf-8", "replace")
    if columns is not None:
        return Header(_fitting_delimiter(source, text, columns), columns, 0)
    names = tuple(name.strip() for name in _cells(text, delimiter))
    _check_names(source, names, text)
    reader.skip(after)
    return Header(delimiter, names, count_lines(head[:after]))


def _check_text(source: Input, head: bytes) -> None:
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            raise InputError(
                f"{source.name}: is read as CSV, but begins like {kind}. Give it the suffix of "
                "what it holds, or use --input-format."
            )
    if head.lstrip().startswith((b'{"', b"[", b"\x1e{")):
        raise InputError(
            f"{source.name}: is read as CSV, but holds JSON, which is not read. Convert it to CSV, "
            "Parquet or Arrow."
        )
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(
            f"{source.name}: is encoded in UTF-16, and only UTF-8 is read. Convert it, e.g. with "
            "iconv -f UTF-16 -t UTF-8."
        )
    position = head.find(b"\0")
    if position >= 0:
        raise InputError(
            f"{source.name}: holds a zero byte at byte {position:,}: it is a binary file, or text "
            "in UTF-16, and no CSV in UTF-8. Use --input-format if its suffix is wrong."
        )


def _no_header(source: Input, head: bytes) -> InputError:
    if not head.strip(b"\r\n"):
        return InputError(
            f"{source.name}: is empty: a CSV file has at least a line with the names of its "
            "columns."
        )
    return InputError(
        f"{source.name}: the first line is no header: it is longer than "
        f"{_HEADER_LIMIT_BYTES >> 20} MiB, or one of its quotes is never closed. It begins with "
        f"{head[:40].decode('utf-8', 'replace')!r}."
    )


def _is_tsv(source: Input) -> bool:
    return ".tsv" in {suffix.lower() for suffix in Path(source.name).suffixes}


def _sniff(source: Input, head: bytes) -> str:
    """Return the delimiter that occurs most often in the first line, quoted parts left out."""
    if _is_tsv(source):
        return "\t"
    line = re.split(b"[\r\n]", head.lstrip(b"\r\n"), maxsplit=1)[0]
    bare = re.sub(b'"[^"]*"', b"", line)
    return max(DELIMITERS, key=lambda mark: bare.count(mark.encode()))


def _cells(text: str, delimiter: str) -> list[str]:
    """Cut one record as Arrow cuts those that follow."""
    names: list[str] = pacsv.read_csv(
        pa.BufferReader(f"{text}\n".encode()),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=4 * len(text) + 2),
        parse_options=pacsv.ParseOptions(delimiter=delimiter),
    ).column_names
    return names


def _fitting_delimiter(source: Input, text: str, columns: tuple[str, ...]) -> str:
    """Return the delimiter that cuts the first record into as many cells as there are names."""
    candidates = ("\t",) if _is_tsv(source) else DELIMITERS
    cells = {mark: _cells(text, mark) for mark in candidates}
    for mark in candidates:
        if len(cells[mark]) == len(columns):
            return mark
    n_cells = len(cells[_sniff(source, text.encode())])
    raise UsageError(
        f"{source.name}: --columns names {len(columns)} columns ({', '.join(columns)}), but the "
        f"first row has {n_cells} cells: {_shown(text)}. Name all of them, in the order of the "
        "file."
    )


def _check_names(source: Input, names: tuple[str, ...], text: str) -> None:
    _, is_null, is_text = parse_numbers(pa.array(names, pa.string()))
    if not is_text.any() and not is_null.all():
        example = ("lat", "lon", *(f"c{k + 1}" for k in range(2, len(names))))
        raise UsageError(
            f"{source.name}: the first row holds numbers, so it cannot be the header: "
            f"{_shown(text)}. Name the columns of a file without one, in their order, e.g. "
            f"--columns {','.join(example)}."
        )


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
