"""Comparing two files of tiles: which hubs are the same, and what has become of them."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid.grid import Grid
from gridcli.raster.diff import KINDS, compare
from gridcli.raster.naming import take_over
from gridcli.raster.places import HubSums, Places, distances, tile_heights
from tests import naive
from tests.naming_examples import block, file_in_memory, hubs_of, places, rows_of, shifted
from tests.tile_examples import tile_counts

G1 = Grid.degrees(1)


def compared(before, after, *, rows=4, **options):
    """Compare two counts by tile, or hubs."""
    before, after = (hubs_of(x) if isinstance(x, dict) else x for x in (before, after))
    return compare(file_in_memory(before, rows), file_in_memory(after, rows), **options)


def told(found) -> list[tuple[str, ...]]:
    return [(*change.kinds, change.hub_key) for change in found.changes]


# --- Laws -----------------------------------------------------------------------------------------


@given(places(), st.integers(1, 3))
def test_nothing_has_changed_in_the_same_file(counts, mu) -> None:
    hubs = hubs_of(counts, mu=mu)
    found = compared(hubs, hubs, move_threshold=0.0, change_threshold=Fraction(0))
    assert not found.changes
    assert not found.has_differences
    assert found.totals == {**dict.fromkeys(KINDS, 0), "unchanged": len(hubs)}
    listed = compared(hubs, hubs, with_unchanged=True)
    assert [change.kinds for change in listed.changes] == [("unchanged",)] * len(hubs)
    points = [change.new.points for change in listed.changes]
    assert points == sorted(hubs.points.tolist(), reverse=True)


@given(places(), places(), st.integers(1, 20))
def test_every_hub_is_told_once(before, after, rows) -> None:
    old, new = hubs_of(before), hubs_of(after)
    found = compared(old, new, rows=rows, with_unchanged=True)
    assert (found.old_hubs, found.new_hubs) == (len(old), len(new))
    assert sorted(c.old_key for c in found.changes if c.old_key) == sorted(old.hub_key)
    new_keys = [c.hub_key for c in found.changes if c.new is not None]
    assert sorted(new_keys) == sorted(new.hub_key)
    for kind in KINDS:
        assert found.totals[kind] == sum(kind in change.kinds for change in found.changes)
    assert found.changes == sorted(found.changes, key=lambda change: change.order)
    by_key = dict(zip(new.hub_key, new.points.tolist(), strict=True))
    assert all(c.new.points == by_key[c.hub_key] for c in found.changes if c.new)
    assert found == compared(old, new, rows=100, with_unchanged=True)


@given(places(), places())
def test_the_same_matches_as_the_oracle(before, after) -> None:
    """By key first; of the rest, the largest share first."""
    old, new = hubs_of(before), hubs_of(after)
    found = compared(old, new, with_unchanged=True)
    partner = {c.hub_key: c.old_key for c in found.changes if c.new and c.old}
    shared = naive.shared_points(rows_of(old), rows_of(new))
    same = set(old.hub_key) & set(new.hub_key)
    assert {key for key in partner if partner[key] == key} == same
    rest = {k for k in new.hub_key if k not in same}
    open_rows = [r if r[3] in rest else (*r[:3], None) for r in rows_of(new)]
    old_rows = [r if r[3] not in same else (*r[:3], None) for r in rows_of(old)]
    ranked = sorted(rest, key=[r[3] for r in open_rows].index)
    names, _ = naive.taken_over_keys(old_rows, open_rows, ranked)
    expected = {k: n for k, n in zip(ranked, names, strict=True) if n in old.hub_key}
    assert {k: v for k, v in partner.items() if k != v} == expected
    for change in found.changes:
        pairs = [
            (n, other)
            for pair, n in shared.items()
            for key, other in (pair[::-1], pair)
            if key == (change.hub_key if change.kinds == ("appeared",) else change.old_key)
            and (pair[1] == key) == (change.kinds == ("appeared",))
        ]
        if change.kinds in {("appeared",), ("vanished",)}:
            other = change.split_from or change.merged_into
            assert (other is None) == (not pairs)
            assert not pairs or (max(pairs)[0], other) in pairs


def assert_places_are_those_of(hubs) -> None:
    grid = hubs.tiles.grid
    sums = HubSums(grid)
    for _ in sums.watch(file_in_memory(hubs, 2).blocks()):
        pass
    found = sums.places()
    rank = [hubs.hub_key.index(key) for key in dict.fromkeys(r[3] for r in rows_of(hubs))]
    assert found.points.tolist() == hubs.points[rank].tolist()
    assert found.tiles.tolist() == hubs.n_tiles[rank].tolist()
    if grid.columns and grid.columns < 100:  # hubs of such tiles may go around the earth
        return
    np.testing.assert_allclose(found.y, hubs.lat[rank], rtol=1e-13, atol=1e-9)
    turned = np.abs(found.x - hubs.lon[rank])
    if not grid.planar:
        turned = np.minimum(turned, 360 - turned)
    assert np.all(turned <= 1e-9 + 1e-13 * np.abs(hubs.lon[rank]))


@given(tile_counts())
def test_centroids_are_those_of_the_hubs(example) -> None:
    grid, counts = example
    assert_places_are_those_of(hubs_of(counts, grid))


@pytest.mark.parametrize("prec", ["0", "0.25", "2.5", "3.5", "4"])
@pytest.mark.parametrize("y", [0, -1, 30])
def test_centroids_across_180_degrees(prec, y) -> None:
    """From the smallest tile eastwards, westwards, and both ways."""
    grid = Grid.degrees(prec)
    west, east = grid.first_column, grid.last_column
    eastwards = {(east, y): 9, (west, y + 1): 5, (west + 1, y + 1): 70}
    westwards = {(west, y + 4): 9, (east, y + 5): 5, (east - 1, y + 5): 70}
    both = {(west, y + 8): 3, (west + 1, y + 9): 31, (east, y + 9): 8, (east - 1, y + 10): 6}
    hubs = hubs_of(eastwards | westwards | both, grid)
    assert len(hubs) == 3
    assert_places_are_those_of(hubs)


# --- Matching -------------------------------------------------------------------------------------


def test_a_key_decides_before_the_tiles_do() -> None:
    old = hubs_of({**block(0, 0, 3), **block(9, 0, 3)})
    split = hubs_of({**block(0, 0, 1), **block(2, 0, 1, count=9), **block(9, 0, 3)})
    found = compared(old, split)
    assert told(found) == [
        ("appeared", "g4/2/0"),
        ("moved", "shrank", "g4/0/0"),
    ]
    assert found.changes[0].split_from == "g4/0/0"


def test_hubs_whose_keys_differ_are_matched_by_their_tiles() -> None:
    found = compared(block(0, 0, 5), block(-1, 0, 6))
    (change,) = found.changes
    assert (change.hub_key, change.old_key) == ("g4/-1/0", "g4/0/0")
    assert change.kinds == ("grew",)
    assert (change.old.tiles, change.new.tiles) == (5, 6)


def test_names_taken_over_are_names() -> None:
    old = hubs_of(block(0, 0, 9))
    new = take_over(hubs_of({**block(0, 0, 3), **block(4, 0, 5)}), file_in_memory(old))
    found = compared(old, new, move_threshold=1e6)
    assert told(found) == [("appeared", "g4/0/0~2"), ("shrank", "g4/0/0")]


def test_merged_and_appeared_hubs_say_where_their_tiles_went() -> None:
    found = compared({**block(0, 0, 5), **block(6, 0, 2)}, {**block(0, 0, 8), (99, 99): 5})
    assert told(found) == [
        ("appeared", "g4/99/99"),
        ("vanished", "g4/6/0"),
        ("moved", "grew", "g4/0/0"),
    ]
    assert [c.merged_into for c in found.changes] == [None, "g4/0/0", None]
    assert [c.split_from for c in found.changes] == [None, None, None]
    assert [c.old_key for c in found.changes] == [None, "g4/6/0", "g4/0/0"]


# --- Thresholds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "threshold", "kinds"),
    [
        (110, Fraction(1, 10), ("unchanged",)),
        (111, Fraction(1, 10), ("grew",)),
        (90, Fraction(1, 10), ("unchanged",)),
        (89, Fraction(1, 10), ("shrank",)),
        (101, Fraction(0), ("grew",)),
        (100, Fraction(0), ("unchanged",)),
        (250, Fraction(3, 2), ("unchanged",)),
        (251, Fraction(3, 2), ("grew",)),
    ],
)
def test_growth_beyond_the_threshold(points, threshold, kinds) -> None:
    found = compared(
        {(0, 0): 100}, {(0, 0): points}, change_threshold=threshold, with_unchanged=True
    )
    assert [change.kinds for change in found.changes] == [kinds]


def test_a_hub_has_moved_when_it_is_further_than_a_tile_is_high() -> None:
    """The centroid moves by half a tile's width a column."""
    near = compared(block(0, 0, 8), block(0, 0, 9), change_threshold=Fraction(1))
    far = compared(block(0, 0, 8), block(0, 0, 11), change_threshold=Fraction(1))
    assert not near.has_differences
    assert told(far) == [("moved", "g4/0/0")]
    assert far.changes[0].moved == pytest.approx(1.5 * 11.1319, rel=1e-4)


def test_the_threshold_of_moving_is_exclusive() -> None:
    plane = Grid.planar_size("2.5")
    before, after = hubs_of(block(0, 0, 3), plane), hubs_of(block(0, 0, 7), plane)
    same = compared(before, after, move_threshold=5.0, change_threshold=Fraction(9))
    assert not same.has_differences
    moved = compared(before, after, move_threshold=4.9999, change_threshold=Fraction(9))
    assert moved.planar
    assert [(c.kinds, c.moved) for c in moved.changes] == [(("moved",), 5.0)]
    assert compared(before, after, change_threshold=Fraction(9)).totals["moved"] == 1


def test_across_180_degrees_the_short_way_counts() -> None:
    before = hubs_of({(1798, 0): 5, (1799, 0): 5}, G1)
    after = hubs_of({(1798, 0): 5, (1799, 0): 5, (-1800, 0): 5}, G1)
    (change,) = compared(before, after, move_threshold=0.0, change_threshold=Fraction(1)).changes
    assert change.kinds == ("moved",)
    assert change.moved == pytest.approx(0.05 * 111_320, rel=1e-4)
    assert (change.old.x, change.new.x) == pytest.approx((179.9, 179.95))


@pytest.mark.parametrize("far", [1e-5, 1e-3, 1e-1, 10.0, 120.0])
def test_distances_are_those_of_the_geodesic(far) -> None:
    random = np.random.default_rng(7)
    lon, lat = random.uniform(-180, 180, 200), random.uniform(-89, 89, 200)
    to_lon = (lon + random.uniform(-far, far, 200) + 180) % 360 - 180
    to_lat = np.clip(lat + random.uniform(-far, far, 200), -90, 90)
    ones = np.ones(200, np.int64)
    before, after = (Places(G1, ones, ones, x, y) for x, y in ((lon, lat), (to_lon, to_lat)))
    hubs = np.arange(200)
    found = distances(before, hubs, after, hubs)
    exact = np.array(pyproj.Geod(ellps="WGS84").inv(lon, lat, to_lon, to_lat)[2])
    np.testing.assert_allclose(found, exact, rtol=5e-3 if far > 1 else 1e-6, atol=1e-6)


def test_heights_of_tiles() -> None:
    ones = np.ones(2, np.int64)
    on_earth = Places(Grid.degrees(4), ones, ones, np.zeros(2), np.array([0.0, 60.0]))
    np.testing.assert_allclose(tile_heights(on_earth, np.arange(2)), [11.0574, 11.1412], 1e-4)
    on_plane = Places(Grid.planar_size("2.5"), ones, ones, np.zeros(2), np.zeros(2))
    assert tile_heights(on_plane, np.arange(1)).tolist() == [2.5]


# --- Order and edges ------------------------------------------------------------------------------


def test_changes_are_sorted_by_kind_then_size_then_key() -> None:
    old = {(0, 0): 100, (2, 0): 100, (4, 0): 100, (6, 0): 5, (8, 0): 7, (10, 0): 100, (12, 0): 9}
    new = {(0, 0): 50, (2, 0): 300, (4, 0): 400, (10, 0): 100, (12, 0): 9, (20, 0): 5, (22, 0): 5}
    assert told(compared(old, new)) == [
        ("appeared", "g4/20/0"),
        ("appeared", "g4/22/0"),
        ("vanished", "g4/8/0"),
        ("vanished", "g4/6/0"),
        ("grew", "g4/4/0"),
        ("grew", "g4/2/0"),
        ("shrank", "g4/0/0"),
    ]


@pytest.mark.parametrize(
    ("before", "after"), [({}, block(0, 0, 3)), (block(0, 0, 3), {}), ({}, {})]
)
def test_files_without_hubs(before, after) -> None:
    found = compared(before, after)
    assert (found.old_hubs, found.new_hubs) == (min(1, len(before)), min(1, len(after)))
    assert len(found.changes) == found.old_hubs + found.new_hubs


def test_other_grids_are_refused() -> None:
    with pytest.raises(UsageError, match=re.escape("of the grid g4 and old.parquet of g1")):
        compared(hubs_of(block(0, 0, 3)), hubs_of(block(0, 0, 3), G1))


def test_many_hubs_that_all_appear() -> None:
    counts = {(2 * i, 2 * j): 5 for i in range(60) for j in range(40)}
    found = compared({}, counts, rows=100)
    assert found.totals["appeared"] == 2400
    assert compared(counts, shifted(counts, 1000), rows=77).totals["vanished"] == 2400
