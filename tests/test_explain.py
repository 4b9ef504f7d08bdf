"""Explanations: against every setting tried out one after the other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError, UsageError
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack, unpack
from gridcli.raster.cluster import cluster
from gridcli.raster.explain import state as explain_state
from gridcli.raster.explain.flood import fullest_first
from gridcli.raster.explain.lookup import CoarserLookup, RunLookup
from gridcli.raster.explain.place import located, tile_at
from gridcli.raster.explain.tilesfile import explain_hub_in_tiles, explain_in_tiles
from gridcli.raster.neighbours import TileRanges, neighbour_ranges
from gridcli.raster.run import ClusterOptions
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.runs import MemoryRun
from tests import naive
from tests.naming_examples import block, file_in_memory, hubs_of
from tests.tile_examples import GRIDS, tile_counts, tiles_of

METRICS = st.sampled_from(["chebyshev", "manhattan"])
G4 = Grid.degrees(4)


def run_of(grid, count, rows=3) -> MemoryRun:
    tiles = tiles_of(grid, count)
    return MemoryRun(pack(tiles.x, tiles.y), tiles.count, rows)


def centre(grid, tile) -> tuple[float, float]:
    (found,) = located(grid, [tile])
    return (found.west + found.east) / 2, (found.south + found.north) / 2


def explained(grid, count, tile, options, **more):
    place = centre(grid, tile)
    with Workspace(1) as space:
        return explain_state.explain_in_state(
            run_of(grid, count), grid, place, options, space, stop=StopFlag(), **more
        )


@st.composite
def cases(draw):
    """A grid, counts, one of their tiles or an empty one beside them, and settings."""
    grid, count = draw(tile_counts(largest_count=6))
    assume(count)
    near = [tile for tile in count if abs(tile[0]) < 2**31 - 2 and abs(tile[1]) < 2**31 - 2]
    assume(near)
    tile = draw(st.sampled_from(sorted(near)))
    beside = tile[0] + 1, tile[1]
    if draw(st.integers(0, 9)) == 0 and beside not in count and grid.planar:
        tile = beside
    options = ClusterOptions(
        draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(METRICS)
    )
    return grid, count, tile, options


@given(cases(), st.sampled_from([1, 3, 10**6]))
def test_every_change_is_the_nearest_one(case, most) -> None:
    grid, count, tile, options = case
    found = explained(grid, count, tile, options, most=most)

    def answer(tau=options.tau, mu=options.mu):
        return naive.is_in_hub(count, tile, tau, mu, options.delta, options.metric, grid.columns)

    assert (found.tile.x, found.tile.y, found.tile.count) == (*tile, count.get(tile, 0))
    assert found.is_in_hub == answer()
    by_tau = {tau: answer(tau=tau) for tau in range(1, max(options.tau, 7) + 1)}
    by_mu = {mu: answer(mu=mu) for mu in range(1, max(options.mu, len(count)) + 2)}
    assert found.mu.value == naive.nearest_change(by_mu, options.mu)
    if found.tau.is_known:
        assert found.tau.value == naive.nearest_change(by_tau, options.tau)
    else:
        assert options.mu > most


@given(cases())
def test_the_component_and_the_neighbours(case) -> None:
    grid, count, tile, options = case
    found = explained(grid, count, tile, options)
    significant = {other for other, n in count.items() if n >= options.tau}
    components = naive.agglomerate(significant, options.delta, options.metric, grid.columns)
    own = next((each for each in components if tile in each), set())
    assert found.component == (len(own), sum(count[each] for each in own))
    if found.is_in_hub:
        x, y = min(own, key=lambda each: each[::-1])
        assert found.hub_key == f"{grid.name}/{x}/{y}"
    near = {
        other
        for other in {*count, tile}
        if naive._distance(tile, other, options.metric, grid.columns) <= options.delta
    }
    shown = {(each.x, each.y): each.count for each in found.neighbours}
    assert len(shown) == len(found.neighbours)
    assert {place for place, n in shown.items() if n} == near & set(count)
    assert found.n_near == len(near & significant - {tile})
    rows = [each.y for each in found.neighbours]
    assert rows == sorted(rows, reverse=True)


@given(cases())
def test_coarser_tiles(case) -> None:
    grid, count, tile, options = case
    found = explained(grid, count, tile, options)

    def answer(m):
        coarser = grid.coarsened(m)
        return naive.is_in_hub(
            naive.coarsened(count, m),
            (tile[0] // m, tile[1] // m),
            options.tau,
            options.mu,
            options.delta,
            options.metric,
            coarser.columns,
        )

    changed = [m for m in found.tried if answer(m) != found.is_in_hub]
    assert changed == ([] if found.coarsen.value is None else [found.coarsen.value])
    assert found.tried == explain_state.COARSENINGS[: len(found.tried)]
    if not changed and grid.name == "g4":
        assert found.tried == explain_state.COARSENINGS


@given(
    st.sampled_from(GRIDS),
    st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
    st.sampled_from([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]),
    st.sampled_from([1, 2, 5, 17, 18, 40]),
    METRICS,
)
def test_neighbours_are_those_of_agglomeration(grid, offset, end, delta, metric) -> None:
    rows, columns = (range(-50, 51), range(-50, 51))
    x, y = offset
    if not grid.planar:
        first_x, last_x = grid.first_column, grid.last_column
        x += {-1: first_x, 0: 0, 1: last_x}[end[0]]
        y += {-1: grid.first_row, 0: 0, 1: grid.last_row}[end[1]]
        x = (x - first_x) % grid.columns + first_x
        y = min(max(y, grid.first_row), grid.last_row)
        columns = {(x + dx - first_x) % grid.columns + first_x for dx in range(-50, 51)}
        rows = [row for row in range(y - 50, y + 51) if grid.first_row <= row <= grid.last_row]
    wanted = {
        (column, row)
        for row in rows
        for column in columns
        if naive._distance((x, y), (column, row), metric, grid.columns) <= delta
    }
    ranges = neighbour_ranges(grid, (x, y), delta, metric)
    found = [
        (column, row)
        for row, first, last in zip(ranges.row, ranges.first, ranges.last, strict=True)
        for column in range(first, last + 1)
    ]
    assert set(found) == wanted
    assert len(found) == len(wanted)
    low, high = ranges.keys()
    assert np.all(low <= high)
    assert np.all(high[:-1] < low[1:])


def hops_from(grid, tile, metric) -> dict[tuple[int, int], int]:
    """Hops from one tile to each, neighbours found by their longitudes as fractions."""
    rows = range(grid.first_row, grid.last_row + 1)
    columns = dict(zip(rows, grid.columns_of(np.array(rows)).tolist(), strict=True))

    def near(a, b) -> bool:
        if a[1] == b[1]:
            return (a[0] - b[0]) % columns[a[1]] in {1, columns[a[1]] - 1}
        if abs(a[1] - b[1]) != 1:
            return False
        n, m = columns[a[1]], columns[b[1]]
        for turn in (-1, 0, 1):
            west = max(Fraction(a[0], n), Fraction(b[0], m) + turn)
            east = min(Fraction(a[0] + 1, n), Fraction(b[0] + 1, m) + turn)
            if west < east or (west == east and metric == "chebyshev"):
                return True
        return False

    left = {(x, y) for y, n in columns.items() for x in range(n)} - {tile}
    found, ring = {tile: 0}, {tile}
    while left:
        ring = {each for each in left if any(near(each, reached) for reached in ring)}
        found |= dict.fromkeys(ring, max(found.values()) + 1)
        left -= ring
    return found


@pytest.mark.parametrize("metric", ["chebyshev", "manhattan"])
@pytest.mark.parametrize("tile", [(0, 0), (2, 9), (13, -6)])
def test_neighbours_where_rows_have_different_numbers_of_columns(tile, metric) -> None:
    grid = Grid.metres(1_000_000)
    hops = hops_from(grid, tile, metric)
    for delta in (1, 2, 3, 6):
        ranges = neighbour_ranges(grid, tile, delta, metric)
        found = [
            (column, row)
            for row, first, last in zip(ranges.row, ranges.first, ranges.last, strict=True)
            for column in range(first, last + 1)
        ]
        assert sorted(found) == sorted(place for place, n in hops.items() if n <= delta)


def test_a_place_on_a_grid_of_metres() -> None:
    grid = Grid.metres(25)
    tile = tile_at(grid, (11.97, 60.17))
    ranges = neighbour_ranges(grid, tile, 1, "chebyshev")
    count = {
        (column, row): 5
        for row, first, last in zip(*map(np.ndarray.tolist, vars(ranges).values()), strict=True)
        for column in range(first, last + 1)
    }
    found = explained(grid, count, tile, ClusterOptions(5, 4))
    assert found.hub_key is not None
    assert found.hub_key.startswith("m25/")
    assert found.component == (len(count), 5 * len(count))
    assert len(found.neighbours) == len(count)
    assert (found.coarsen.is_known, found.tried) == (False, ())


@given(tile_counts(), st.integers(1, 5), st.data())
def test_lookups_read_what_is_there(case, rows, data) -> None:
    grid, count = case
    m = data.draw(st.sampled_from([1, 2, 7]))
    lookup = RunLookup(run_of(grid, count, rows), grid)
    coarser = naive.coarsened(count, m)
    corner = data.draw(st.sampled_from([(0, 0), *coarser]))
    ys = range(corner[1] - 2, corner[1] + 3)
    ranges = TileRanges(*np.array([(y, corner[0] - 3, corner[0] + 1) for y in ys]).T)
    ranges = TileRanges(
        *(
            np.clip(each, -(2**31) // m, (2**31 - 1) // m)
            for each in (ranges.row, ranges.first, ranges.last)
        )
    )
    ranges = TileRanges(*np.unique([ranges.row, ranges.first, ranges.last], axis=1))
    keys, counts = CoarserLookup(lookup, m).within(ranges)
    x, y = unpack(keys)
    wanted = {
        (i, j): n
        for (i, j), n in coarser.items()
        if abs(j - corner[1]) <= 2 and corner[0] - 3 <= i <= corner[0] + 1
    }
    assert (
        dict(zip(zip(x.tolist(), y.tolist(), strict=True), counts.tolist(), strict=True)) == wanted
    )


def test_the_fullest_tile_comes_first() -> None:
    count = {(0, 0): 5, (1, 0): 2, (2, 0): 9, (0, 1): 3, (9, 9): 50}
    lookup = RunLookup(run_of(G4, count), G4)
    counts = [n for _, n in fullest_first(lookup, (0, 0), 1, "chebyshev", StopFlag())]
    assert counts == [5, 3, 2, 9]


# --- Hubs -----------------------------------------------------------------------------------------


@st.composite
def hub_cases(draw):
    """A grid, counts, one of the hubs, all of them, and settings."""
    grid, count = draw(tile_counts(largest_count=6))
    options = ClusterOptions(
        draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(METRICS)
    )
    hubs = hubs_at(grid, count, options, options.tau, options.delta)
    assume(hubs)
    return grid, count, draw(st.sampled_from(hubs)), hubs, options


def hubs_at(grid, count, options, tau, delta):
    """Hubs as sets of tiles."""
    significant = {tile for tile, n in count.items() if n >= tau}
    components = naive.agglomerate(significant, delta, options.metric, grid.columns)
    return [each for each in components if len(each) >= options.mu]


def smallest(hub) -> tuple[int, int]:
    return min(hub, key=lambda tile: tile[::-1])


def key_in(grid, hub) -> str:
    return "/".join([grid.name, *map(str, smallest(hub))])


def explained_hub(grid, count, hub, options):
    run = run_of(grid, count)
    return explain_state.explain_hub_in_state(
        run, grid, key_in(grid, hub), options, stop=StopFlag()
    )


@settings(max_examples=40)
@given(hub_cases())
def test_what_holds_a_hub_together(case) -> None:
    grid, count, hub, _, options = case
    found = explained_hub(grid, count, hub, options)
    assert (found.tiles, found.points) == (len(hub), sum(count[tile] for tile in hub))
    assert found.fullest.count == max(count[tile] for tile in hub)
    own = {tile: count[tile] for tile in hub}
    parts = {
        tau: len(hubs_at(grid, own, options, tau, options.delta)) for tau in range(options.tau, 9)
    }
    assert found.gone.value == next(tau for tau, n in parts.items() if n == 0)
    several = next(((tau, n) for tau, n in parts.items() if n > 1), None)
    if several is None:
        assert found.split is None
        return
    assert found.split is not None
    assert (found.split.tau, found.split.hubs) == several
    weakest = found.split.tile
    assert weakest.count == own[weakest.x, weakest.y] == several[0] - 1


@settings(max_examples=40)
@given(hub_cases())
def test_what_joins_a_hub_with_another_one(case) -> None:
    grid, count, hub, hubs, options = case
    found = explained_hub(grid, count, hub, options)

    def joined(tau, delta) -> set[str]:
        components = hubs_at(grid, count, options, tau, delta)
        (own,) = [each for each in components if smallest(hub) in each]
        return {key_in(grid, other) for other in hubs if other != hub and other <= own}

    by_tau = {tau: joined(tau, options.delta) for tau in range(1, options.tau)}
    wanted = max((tau for tau, others in by_tau.items() if others), default=None)
    assert found.by_tau.change.value == wanted
    assert found.by_tau.change.is_known
    if wanted is not None:
        assert found.by_tau.hub_key in by_tau[wanted]
    deltas = range(options.delta + 1, options.delta + 11)
    by_delta = {delta: joined(options.tau, delta) for delta in deltas}
    wanted = min((delta for delta, others in by_delta.items() if others), default=None)
    assert found.by_delta.change.value == wanted
    if wanted is not None:
        assert found.by_delta.hub_key in by_delta[wanted]
    assert found.by_delta.tried == (wanted or deltas[-1])


@settings(max_examples=25)
@given(hub_cases())
def test_a_hub_of_a_file_of_tiles(case) -> None:
    grid, count, hub, _, options = case
    whole = explained_hub(grid, count, hub, options)
    significant = {tile: n for tile, n in count.items() if n >= options.tau}
    hubs = cluster(
        tiles_of(grid, significant), mu=options.mu, delta=options.delta, metric=options.metric
    )
    with Workspace(1) as space:
        found = explain_hub_in_tiles(
            *(file_in_memory(hubs), grid, key_in(grid, hub), options, space), stop=StopFlag()
        )
    for name in ("hub_key", "tiles", "points", "fullest", "split", "gone", "by_delta"):
        assert getattr(found, name) == getattr(whole, name), name
    assert not found.by_tau.change.is_known


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("g4/1/0", "its tile belongs to hub g4/0/0."),
        ("g4/7/7", "a place in that tile says why."),
        ("g3/0/0", "which names the grid and the smallest tile"),
        ("g4/0/0~2", "which names the grid and the smallest tile"),
        ("g4/9999999999/0", "which names the grid and the smallest tile"),
    ],
)
def test_hubs_that_are_not_there(key, told) -> None:
    with pytest.raises(UsageError, match="no hub") as caught:
        explain_state.explain_hub_in_state(
            run_of(G4, block(0, 0, 4)), G4, key, ClusterOptions(), stop=StopFlag()
        )
    assert told in str(caught.value)


def test_a_hub_that_is_too_large(monkeypatch) -> None:
    monkeypatch.setattr("gridcli.raster.explain.hub.FLOOD_TILES", 3)
    with pytest.raises(ResourceError, match="g4/0/0 has more than 3 tiles"):
        explained_hub(G4, block(0, 0, 4), {(0, 0)}, ClusterOptions())


def test_too_many_tiles_within_reach(monkeypatch) -> None:
    count = block(0, 0, 9, 9)
    monkeypatch.setattr("gridcli.raster.explain.flood.MOST_SEEN", 81)
    assert explained(G4, count, (0, 0), ClusterOptions(5, 1, 9)).is_in_hub
    monkeypatch.setattr("gridcli.raster.explain.flood.MOST_SEEN", 80)
    with pytest.raises(ResourceError, match="within --delta 9 of those"):
        explained(G4, count, (0, 0), ClusterOptions(5, 1, 9))


# --- Files of tiles -------------------------------------------------------------------------------


@settings(max_examples=30)
@given(cases())
def test_a_file_of_tiles_tells_the_same_as_a_state(case) -> None:
    grid, count, tile, options = case
    whole = explained(grid, count, tile, options)
    significant = {each: n for each, n in count.items() if n >= options.tau}
    assume(significant)
    hubs = cluster(
        tiles_of(grid, significant), mu=options.mu, delta=options.delta, metric=options.metric
    )
    with Workspace(1) as space:
        found = explain_in_tiles(
            file_in_memory(hubs), grid, centre(grid, tile), options, space, stop=StopFlag()
        )
    for name in ("is_in_hub", "hub_key", "component", "n_near", "mu"):
        assert getattr(found, name) == getattr(whole, name), name
    absent = None if options.tau > 1 else 0
    assert found.tile.count == significant.get(tile, absent)
    assert [each.count for each in found.neighbours] == [
        each.count if each.count >= options.tau else absent for each in whole.neighbours
    ]
    if found.is_in_hub:
        assert found.tau == whole.tau
    else:
        assert not found.tau.is_known
    assert not found.coarsen.is_known


def test_tiles_that_a_window_added_leave_tau_open() -> None:
    file = file_in_memory(hubs_of(block(0, 0, 4, count=5)))
    file.record["window"] = "gaps"
    with Workspace(1) as space:
        found = explain_in_tiles(
            file, G4, (0.00005, 0.00005), ClusterOptions(6, 4), space, stop=StopFlag()
        )
    assert found.is_in_hub
    assert found.kind == "window"
    assert not found.tau.is_known


# --- Places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "place", "tile"),
    [
        (Grid.degrees(2), (0.29, -0.29), (29, -29)),  # by its digits: 0.29 * 100 is below 29
        (Grid.degrees(4), (180.0, 90.0), (-1_800_000, 899_999)),
        (Grid.degrees(4), (360.0, -90.0), (0, -900_000)),
        (Grid.degrees(4), (0.0, 0.0), (0, 0)),
        (Grid.degrees(3).coarsened(2), (0.0039, -0.0001), (1, -1)),
        (Grid.degrees("3.5"), (-180.0, 0.0), (-569_210, 0)),
        (Grid.planar_size(25), (50.0, -0.5), (2, -1)),
    ],
)
def test_places_on_edges_have_the_tile_of_points_there(grid, place, tile) -> None:
    assert tile_at(grid, place) == tile


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ((57.7, 111.9), "If the longitude came first: --at 57.7,111.9."),
        ((400.0, 57.0), "from -180 to 360."),
        ((0.0, -91.0), ""),
    ],
)
def test_places_that_are_not_on_earth(place, told) -> None:
    with pytest.raises(UsageError, match="no place on earth") as caught:
        tile_at(G4, place)
    assert str(caught.value).endswith(told)


def test_places_beyond_all_tiles_of_a_plane() -> None:
    with pytest.raises(UsageError, match="beyond the tiles of grid t25"):
        tile_at(Grid.planar_size(25), (1e12, 0.0))
