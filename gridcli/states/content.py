"""What two states must agree in to be equal, as one hash.

Definition, so that other programs can compute it (format 1):

1. The tiles, sorted by (tile_y, tile_x) and the further indexes they may have, are cut into groups
   of 65 536 rows, the last one smaller. The digest of a group is the SHA-256 of its tile_x as
   little-endian int32, followed by its tile_y and the further indexes likewise, followed by its
   counts as little-endian int64.
2. The header is ``{"grid":...,"rows":...}`` as JSON in ASCII, keys sorted, no blanks; in more than
   two dimensions it begins with ``"dims":...``, as `DimsGrid.describe` gives them; `grid` as
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
    from collections.abc import Sequence

    from gridcli.states.info import StateInfo

GROUP_ROWS = 1 << 16
DIGEST_BYTES = 32
FIRST_LINE = b"gridcli state 1\n"


def rows_digests(indexes: Sequence[npt.NDArray[np.int32]], counts: npt.NDArray[np.int64]) -> bytes:
    """Return the digests of consecutive tiles, of which the first begins a group.

    Parameters
    ----------
    indexes : sequence of ndarray of int32, shape (n,)
        tile_x, tile_y, and further ones.
    counts : ndarray of int64, shape (n,)

    Returns
    -------
    bytes, 32 for each group begun
    """
    digests = []
    for start in range(0, len(counts), GROUP_ROWS):
        rows = slice(start, start + GROUP_ROWS)
        digest = hashlib.sha256()
        for index in indexes:
            digest.update(np.ascontiguousarray(index[rows], "<i4").data)
        digest.update(np.ascontiguousarray(counts[rows], "<i8").data)
        digests.append(digest.digest())
    return b"".join(digests)


def content_hash(info: StateInfo, digests: bytes) -> str:
    """Return the content hash of a state, in hexadecimal.

    Parameters
    ----------
    info : StateInfo
        Grid, dimensions and row counts.
    digests : bytes
        Of all groups, in order, joined.
    """
    header: dict[str, Any] = {"grid": info.grid.describe(), "rows": info.counts.record()}
    if info.dims is not None:
        header["dims"] = info.dims.describe()
    text = canonical_json(header).encode("ascii")
    return hashlib.sha256(b"".join([FIRST_LINE, text, b"\n", digests])).hexdigest()


def canonical_json(record: Any) -> str:
    """Return JSON that is the same for equal records: ASCII, keys sorted, no blanks."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
