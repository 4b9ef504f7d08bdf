"""Reading structures of Thrift's compact protocol, as far as Parquet's footers need it.

Only numbers, texts and structures that are asked for are kept; all else is skipped. pyarrow tells
nothing of pages, and ends the process where it is asked for the columns of a corrupt footer.
Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridcli.points.pieces import DamagedError

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _TEXT, _LIST, _SET, _MAP, _STRUCT = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    10,
    11,
    12,
)
_INTEGERS = (4, 5, 6)
_MAX_DEPTH = 32
_MAX_VARINT_BYTES = 10

Wanted = Mapping[int, "Wanted | None"]
"""Fields to keep, by number; a structure (or a list of them) has the fields wanted of it."""


class CompactReader:
    """Reads one structure after the other from bytes.

    Parameters
    ----------
    data : bytes

    Attributes
    ----------
    position : int
        Where the next structure begins.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, wanted: Wanted, depth: int = 0) -> dict[int, Any]:
        """Return the wanted fields of the structure that begins here, by number.

        Raises
        ------
        DamagedError
            There is none, or it does not end within the bytes.
        """
        if depth > _MAX_DEPTH:
            raise DamagedError("structures are nested too deeply")
        found: dict[int, Any] = {}
        number = 0
        while True:
            head = self._byte()
            kind, step = head & 0x0F, head >> 4
            if kind == _STOP:
                return found
            number = number + step if step else self._zigzag()
            is_wanted = number in wanted
            # A boolean field has its value in its type.
            value = (
                kind == _TRUE
                if kind in {_TRUE, _FALSE}
                else self._value(kind, wanted.get(number) or {}, depth)
            )
            if is_wanted:
                found[number] = value

    def _value(self, kind: int, wanted: Wanted, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._zigzag()
        if kind in {_BYTE, _TRUE, _FALSE}:  # in lists, booleans are bytes
            return self._byte()
        if kind == _TEXT:
            return self._bytes(self._varint())
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind in {_LIST, _SET}:
            return self._list(wanted, depth)
        if kind == _MAP:
            return self._skip_map(depth)
        if kind == _STRUCT:
            return self.struct(wanted, depth + 1)
        raise DamagedError(f"there is no type {kind}")

    def _list(self, wanted: Wanted, depth: int) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 != 15 else self._varint()
        self._require(size)  # an item is at least a byte
        if depth > _MAX_DEPTH:
            raise DamagedError("lists are nested too deeply")
        return [self._value(head & 0x0F, wanted, depth + 1) for _ in range(size)]

    def _skip_map(self, depth: int) -> None:
        size = self._varint()
        if size == 0:
            return
        self._require(size)
        kinds = self._byte()
        for _ in range(size):
            self._value(kinds >> 4, {}, depth + 1)
            self._value(kinds & 0x0F, {}, depth + 1)

    def _byte(self) -> int:
        self._require(1)
        self.position += 1
        return self._data[self.position - 1]

    def _bytes(self, size: int) -> bytes:
        self._require(size)
        self.position += size
        return self._data[self.position - size : self.position]

    def _varint(self) -> int:
        value = 0
        for i in range(_MAX_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                return value
        raise DamagedError("a number is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _require(self, size: int) -> None:
        if size > len(self._data) - self.position:
            raise DamagedError("the bytes end within a structure")
