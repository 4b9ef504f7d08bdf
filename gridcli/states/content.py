"""What two states must agree in to be equal, as one hash.

Definition, so that other programs can compute it (format 1):

1. The tiles, sorted by (tile_y, tile_x), are cut into groups of 65 536 rows, the last one smaller.
   The digest of a group is the SHA-256 of its tile_x as little-endian int32, followed by its
   tile_y likewise, followed by its counts as little-endian int64.
2. The header is ``{"grid":...,"rows":...}`` as JSON in ASCII, keys sorted, no blanks: `grid` as
   `Grid.describe` gives it, `rows` the number of rows read, used, and left out for each reason,
   and of those repeated where each distinct coordinate counts once.
3. The content hash is the SHA-256 of the line ``gridcli state 1``, the header, a line feed after
   each, and the digests of all groups in order, 32 bytes each; written in hexadecimal.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gridcli.grid.grid import Grid
    from gridcli.points.batch import RowCounts

GROUP_ROWS = 1 << 16
DIGEST_BYTES = 32
FIRST_LINE = b"gridcli state 1\n"


def rows_digests(
    x: npt.NDArray[np.int32], y: npt.NDArray[np.int32], counts: npt.NDArray[np.int64]
) -> bytes:
    """Return the digests of consecutive tiles, of which the first begins a group.

    Parameters
    ----------
    x, y : ndarray of int32, shape (n,)
    counts : ndarray of int64, shape (n,)

    Returns
    -------
    bytes, 32 for each group begun
    """
    digests = []
    for start in range(0, len(x), GROUP_ROWS):
        rows = slice(start, start + GROUP_ROWS)
        digest = hashlib.sha256()
        for column, kind in ((x, "<i4"), (y, "<i4"), (counts, "<i8")):
            digest.update(np.ascontiguousarray(column[rows], kind).data)
        digests.append(digest.digest())
    return b"".join(digests)


def content_hash(grid: Grid, counts: RowCounts, digests: bytes) -> str:
    """Return the content hash of a state, in hexadecimal.

    Parameters
    ----------
    grid : Grid
    counts : RowCounts
    digests : bytes
        Of all groups, in order, joined.
    """
    header = {"grid": grid.describe(), "rows": counts.record()}
    text = canonical_json(header).encode("ascii")
    return hashlib.sha256(b"".join([FIRST_LINE, text, b"\n", digests])).hexdigest()


def canonical_json(record: Any) -> str:
    """Return JSON that is the same for equal records: ASCII, keys sorted, no blanks."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
