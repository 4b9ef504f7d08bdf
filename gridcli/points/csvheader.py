"""What the beginning of a CSV file tells: that it is text, its delimiter, its columns."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from gridcli.errors import InputError, UsageError
from gridcli.points.csvblocks import RECORD_LIMIT_BYTES, BlockReader
from gridcli.points.csvrecords import count_lines
from gridcli.points.numbers import parse_numbers

if TYPE_CHECKING:
    from gridcli.points.plan import Input

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between cells, the most usual first."""

_SIGNATURE_BYTES = 8
_FIRST_LOOK_BYTES = 1 << 16
_RECORD = re.compile(rb'(?:[\r\n]+)?((?:[^"\r\n]++|"[^"]*+")++)(\r\n|\n|\r)?')
_LINE = re.compile(rb"(?:[\r\n]+)?([^\r\n]++)(\r\n|\n|\r)?")
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
    while (match := _first_record(head)) is None and len(head) < RECORD_LIMIT_BYTES:
        longer = reader.head(2 * max(len(head), 1))
        if len(longer) == len(head):
            match = _last_record(head)
            break
        head = longer
    if match is None:
        return _without_records(source, columns)
    text = match[1].decode("utf-8", "replace")
    if columns is not None:
        return Header(_fitting_delimiter(source, text, columns), columns, 0)
    delimiter = _sniff(source, text)
    names = tuple(name.strip() for name in next(csv.reader([text], delimiter=delimiter)))
    _check_names(source, names, text)
    reader.skip(match.end())
    return Header(delimiter, names, count_lines(head[: match.end()]))


def _first_record(head: bytes) -> re.Match[bytes] | None:
    """Match the first record that is not empty, if what follows its end is known too."""
    match = _RECORD.match(head)
    return match if match and match[2] and match.end() < len(head) else None


def _last_record(head: bytes) -> re.Match[bytes] | None:
    """Match the first record of a file that ends with `head`; a line where quotes are odd."""
    match = _RECORD.match(head)
    return match if match and (match[2] or match.end() == len(head)) else _LINE.match(head)


def _check_text(source: Input, head: bytes) -> None:
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            raise InputError(
                f"{source.name}: is read as CSV, but begins like {kind}. Give it the suffix of "
                "what it holds, or use --input-format."
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


def _without_records(source: Input, columns: tuple[str, ...] | None) -> Header:
    if columns is None:
        raise InputError(
            f"{source.name}: is empty: a CSV file has at least a line with the names of its "
            "columns."
        )
    return Header("," if not _is_tsv(source) else "\t", columns, 0)


def _is_tsv(source: Input) -> bool:
    return ".tsv" in {suffix.lower() for suffix in Path(source.name).suffixes}


def _sniff(source: Input, text: str) -> str:
    """Return the delimiter that occurs most often outside quotes; a comma where none does."""
    if _is_tsv(source):
        return "\t"
    bare = re.sub('"[^"]*"', "", text)
    return max(DELIMITERS, key=bare.count)


def _fitting_delimiter(source: Input, text: str, columns: tuple[str, ...]) -> str:
    """Return the delimiter that cuts the first record into as many cells as there are names."""
    candidates = ("\t",) if _is_tsv(source) else DELIMITERS
    cells = {mark: next(csv.reader([text], delimiter=mark)) for mark in candidates}
    for mark in candidates:
        if len(cells[mark]) == len(columns):
            return mark
    n_cells = len(cells[_sniff(source, text)])
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
