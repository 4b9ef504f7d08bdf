"""What has become of the hubs of one file of tiles in another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridcli.errors import UsageError
from gridcli.raster.naming import SharedPoints, match_greedily, share_points
from gridcli.raster.places import HubSums, Place, Places, distances, tile_heights

if TYPE_CHECKING:
    from gridcli.raster.tilesfile import TilesFile

Int64s = npt.NDArray[np.int64]

KINDS = ("appeared", "vanished", "moved", "grew", "shrank", "unchanged")
CHANGE_THRESHOLD = Fraction(1, 10)


@dataclass(frozen=True)
class HubChange:
    """What has become of one hub.

    Attributes
    ----------
    kinds : tuple of str
        Of `KINDS`; a hub may have moved and grown.
    hub_key : str
        Its key in the new file; in the old one if it vanished.
    old_key : str or None
        Its key in the old file; None if it appeared.
    split_from, merged_into : str or None
        Of a hub that appeared, or vanished: the hub of the other file that it shares most points
        with, if any.
    old, new : Place or None
    moved : float or None
        Distance of the centroids, in metres or coordinate units.
    """

    kinds: tuple[str, ...]
    hub_key: str
    old_key: str | None = None
    split_from: str | None = None
    merged_into: str | None = None
    old: Place | None = None
    new: Place | None = None
    moved: float | None = None

    @property
    def _size(self) -> float:
        """How large the change is, for hubs of one kind."""
        if self.kinds[0] == "moved" and self.moved is not None:
            return self.moved
        old, new = (0 if place is None else place.points for place in (self.old, self.new))
        return max(old, new) if self.kinds[0] == "unchanged" else abs(new - old)

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorts by kind, the largest change first."""
        return KINDS.index(self.kinds[0]), -self._size, self.hub_key


@dataclass(frozen=True)
class Comparison:
    """The changes from one file of tiles to another.

    Attributes
    ----------
    changes : list of HubChange
        Sorted by kind, the largest change first.
    totals : dict of str to int
        Number of hubs of each of `KINDS`; one that moved and grew counts for both.
    old_hubs, new_hubs : int
    planar : bool
    """

    changes: list[HubChange]
    totals: dict[str, int]
    old_hubs: int
    new_hubs: int
    planar: bool

    @property
    def has_differences(self) -> bool:
        """Whether any hub is not as it was."""
        return any(n for kind, n in self.totals.items() if kind != "unchanged")


def compare(
    old: TilesFile,
    new: TilesFile,
    *,
    move_threshold: float | None = None,
    change_threshold: Fraction = CHANGE_THRESHOLD,
    with_unchanged: bool = False,
) -> Comparison:
    """Return what has become of the hubs of `old` in `new`.

    A hub is found again by its key; hubs whose keys are in one file only are matched by the
    points that they share, as `gridcli.raster.naming.take_over` does it.

    Parameters
    ----------
    old, new : TilesFile
    move_threshold : float, optional
        A hub has moved if its centroid is further than this from where it was, in metres (planar:
        coordinate units). By default the height of a tile there.
    change_threshold : Fraction
        A hub has grown or shrunk if its points differ by more than this share of the old ones.
    with_unchanged : bool
        List unchanged hubs too; they are always counted.

    Raises
    ------
    UsageError
        The grids differ.
    InputError
        A file is truncated or corrupt.
    """
    grid = old.grid or new.grid
    if old.grid and new.grid and old.grid.name != new.grid.name:
        raise UsageError(
            f"{old.path} is of the grid {old.grid.name} and {new.path} of {new.grid.name}: only "
            "files of one grid can be compared. Make both with the same --prec or --tile-size."
        )
    old_sums, new_sums = HubSums(grid), HubSums(grid)
    shared = share_points(old_sums.watch(old.blocks()), new_sums.watch(new.blocks()))
    before, after = old_sums.places(), new_sums.places()
    pairs = _matched(old.hub_keys, new.hub_keys, shared)
    changes = [
        HubChange(("appeared",), key, split_from=other, new=after[hub])
        for hub, key, other in _unmatched(
            new.hub_keys, shared.new, old.hub_keys, shared.old, set(pairs)
        )
    ]
    changes += [
        HubChange(("vanished",), key, key, merged_into=other, old=before[hub])
        for hub, key, other in _unmatched(
            old.hub_keys, shared.old, new.hub_keys, shared.new, set(pairs.values())
        )
    ]
    totals = dict.fromkeys(KINDS, 0)
    totals["appeared"] = len(new.hub_keys) - len(pairs)
    totals["vanished"] = len(old.hub_keys) - len(pairs)
    for new_hub, old_hub, kinds, moved in _found_again(
        before, after, pairs, move_threshold, change_threshold
    ):
        for kind in kinds:
            totals[kind] += 1
        if with_unchanged or "unchanged" not in kinds:
            change = HubChange(
                kinds,
                hub_key=new.hub_keys[new_hub],
                old_key=old.hub_keys[old_hub],
                old=before[old_hub],
                new=after[new_hub],
                moved=moved,
            )
            changes.append(change)
    changes.sort(key=lambda change: change.order)
    planar = grid is not None and grid.planar
    return Comparison(changes, totals, len(old.hub_keys), len(new.hub_keys), planar)


def _matched(old_keys: list[str], new_keys: list[str], shared: SharedPoints) -> dict[int, int]:
    """Return the old hub of each new one: by key, and the rest by shared points."""
    position = {key: hub for hub, key in enumerate(old_keys)}
    pairs = {hub: position[key] for hub, key in enumerate(new_keys) if key in position}
    is_open = ~(
        np.isin(shared.new, np.fromiter(pairs, np.int64))
        | np.isin(shared.old, np.fromiter(pairs.values(), np.int64))
    )
    rest = SharedPoints(shared.old[is_open], shared.new[is_open], shared.points[is_open])
    return pairs | match_greedily(rest)


def _unmatched(
    hub_keys: list[str], hubs: Int64s, partner_keys: list[str], partners: Int64s, matched: set[int]
) -> Iterator[tuple[int, str, str | None]]:
    """Yield position and key of each hub without a match, and of whom it shares most with.

    `hubs` and `partners` are the pairs that share points, the largest share first.
    """
    found, first = np.unique(hubs, return_index=True)
    partner_of = dict(zip(found.tolist(), partners[first].tolist(), strict=True))
    for hub, key in enumerate(hub_keys):
        if hub not in matched:
            yield hub, key, partner_keys[partner_of[hub]] if hub in partner_of else None


def _found_again(
    before: Places,
    after: Places,
    pairs: dict[int, int],
    move_threshold: float | None,
    change_threshold: Fraction,
) -> Iterator[tuple[int, int, tuple[str, ...], float]]:
    """Yield new hub, old hub, kinds of change and distance of each matched pair."""
    new = np.fromiter(pairs, np.int64)
    old = np.fromiter(pairs.values(), np.int64)
    moved = distances(before, old, after, new)
    least = tile_heights(before, old) if move_threshold is None else move_threshold
    growth = after.points[new] - before.points[old]
    is_other = np.abs(growth) / before.points[old] > float(change_threshold)
    signs = {
        "moved": moved > least,
        "grew": is_other & (growth > 0),
        "shrank": is_other & (growth < 0),
    }
    flags = zip(*(flag.tolist() for flag in signs.values()), strict=True)
    columns = zip(new.tolist(), old.tolist(), flags, moved.tolist(), strict=True)
    for new_hub, old_hub, flag, distance in columns:
        kinds = tuple(kind for kind, is_set in zip(signs, flag, strict=True) if is_set)
        yield new_hub, old_hub, kinds or ("unchanged",), distance
