"""The usual case of CSV, done fast: coordinates as plain decimals, and nothing else wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridcli.points.batch import Reason
from gridcli.points.kernels import POWERS, read_points
from gridcli.points.numbers import parse_numbers

_BYTES_PER_EXCEPTION = 256
"""Text with more odd cells or ragged records than this is read by Arrow."""
_MIN_EXCEPTIONS = 64


@dataclass(frozen=True)
class CsvPoints:
    """Coordinates of a piece of CSV.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
    reason : ndarray of uint8, shape (n,), or None
    ragged : list of int
        Records (from 1) that have another number of cells, ascending; they are no rows.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    reason: npt.NDArray[np.uint8] | None
    ragged: list[int]


def read_csv_points(
    data: bytes, delimiter: str, n_columns: int, x_column: int, y_column: int
) -> CsvPoints | None:
    """Read the coordinates of whole records; None where this is work for Arrow's parser.

    The result is the same as through Arrow's parser and the number grammar.

    Parameters
    ----------
    data : bytes
        Begins at the start of a record.
    delimiter : str
    n_columns, x_column, y_column : int
        Cells of a record, and which of them are coordinates.
    """
    if not data.endswith((b"\n", b"\r")):
        data += b"\n"
    text = np.frombuffer(data, dtype=np.uint8)
    ends_cell = np.zeros(256, dtype=np.uint8)
    ends_cell[[ord(delimiter), ord("\n"), ord("\r")]] = 1
    # Records are at least as long as they have cells; memory beyond the last is never touched.
    x, y = np.empty((2, len(text) // n_columns + 1))
    n_exceptions = _MIN_EXCEPTIONS + len(text) // _BYTES_PER_EXCEPTION
    odd = np.empty((n_exceptions, 4), dtype=np.int64)
    ragged = np.empty(n_exceptions, dtype=np.int64)
    n_rows, n_odd, n_ragged = read_points(
        text,
        ord(delimiter),
        ends_cell,
        POWERS,
        n_columns,
        x_column,
        y_column,
        x,
        y,
        odd,
        ragged,
    )
    if n_rows < 0:
        return None
    x, y = x[:n_rows].copy(), y[:n_rows].copy()
    reason = _read_odd_cells(data, odd[:n_odd], x, y) if n_odd else None
    return CsvPoints(x, y, reason, ragged[:n_ragged].tolist())


def _read_odd_cells(
    data: bytes,
    odd: npt.NDArray[np.int64],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> npt.NDArray[np.uint8]:
    """Read what is no plain decimal by the number grammar, into x and y; return the reasons."""
    cells = pa.array([data[start:end] for start, end in odd[:, 2:].tolist()], pa.binary())
    values, is_null, is_text = parse_numbers(cells.view(pa.string()))
    row, is_y = odd[:, 0], odd[:, 1] == 1
    x[row[~is_y]] = values[~is_y]
    y[row[is_y]] = values[is_y]
    reason = np.zeros(len(x), dtype=np.uint8)
    reason[row[is_text]] = Reason.NOT_A_NUMBER
    reason[row[is_null]] = Reason.NULL
    return reason
