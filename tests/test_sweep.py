"""Sweeps: every setting compared with clustering by it alone; and what is recommended when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError, UsageError
from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.raster.recommend import find_knee, recommend, shown_change
from gridcli.raster.sweep import (
    Level,
    Sweep,
    SweepOptions,
    SweepRow,
    default_coarsenings,
    sweep,
)
from gridcli.runtime.progress import Progress
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.runs import MemoryRun
from tests import naive
from tests.tile_examples import tile_counts, tiles_of

OPTIONS = SweepOptions((1, 2, 10), (1, 3, 400), (1, 2, 4))


def swept(grid: Grid, count: dict, options: SweepOptions) -> Sweep:
    tiles = tiles_of(grid, count)
    run = MemoryRun(keys.pack(tiles.x, tiles.y), tiles.count, rows_per_block=5)
    progress = Progress("none")
    return sweep(run, grid, options, lambda: Workspace(2), progress=progress, stop=StopFlag())


@given(tile_counts(), st.sampled_from([1, 2]), st.sampled_from(["chebyshev", "manhattan"]))
@settings(max_examples=25)
def test_every_setting_finds_what_it_finds_alone(case, delta, metric):
    grid, count = case
    options = SweepOptions(OPTIONS.coarsen, OPTIONS.tau, OPTIONS.mu, delta, metric)
    found = swept(grid, count, options)
    expected = []
    for m in options.coarsen:
        coarse = naive.coarsened(count, m)
        for tau in options.tau:
            significant = {tile for tile, n in coarse.items() if n >= tau}
            columns = grid.coarsened(m).columns
            components = naive.agglomerate(significant, delta, metric, columns)
            for mu in options.mu:
                hubs = [sum(coarse[t] for t in each) for each in components if len(each) >= mu]
                row = (m, tau, mu, len(significant), len(hubs), sum(hubs), max(hubs, default=0))
                expected.append(row)
    assert expected == [
        (r.coarsen, r.tau, r.mu, r.significant, r.hubs, r.hub_points, r.largest_hub)
        for r in found.rows
    ]
    total = sum(count.values())
    for level, m in zip(found.levels, options.coarsen, strict=True):
        assert (level.distinct, level.points) == (len(naive.coarsened(count, m)), total)
    for row in found.rows:
        assert row.share == (row.hub_points / total if total else 0)
        assert (row.median_area is None) == (row.hubs == 0)


def test_counts_beyond_the_tally():
    found = swept(Grid.degrees(4), {(0, 0): 10**12, (5, 5): 70_000, (9, 9): 70_000}, OPTIONS)
    assert found.levels[0].counts.tolist() == [70_000, 10**12]
    assert found.levels[0].at_least.tolist() == [3, 1]
    assert found.levels[0].points == 10**12 + 140_000


def test_the_median_area_is_that_of_hubs():
    grid = Grid.planar_size("2")
    count = {(0, 0): 9, (5, 0): 9, (6, 0): 9, (10, 0): 9, (11, 0): 9, (12, 0): 9}
    rows = swept(grid, count, SweepOptions((1,), (1,), (1, 2))).rows
    assert [row.median_area for row in rows] == [8.0, 10.0]


def test_a_setting_that_memory_does_not_hold_is_named(monkeypatch):
    def fail(*_args, **_options):
        raise ResourceError("9 hubs do not fit.")

    monkeypatch.setattr("gridcli.raster.sweep.cluster_tiles", fail)
    with pytest.raises(ResourceError, match=r"^with --coarsen 1 --tau 1: 9 hubs do not fit"):
        swept(Grid.degrees(4), {(0, 0): 1}, OPTIONS)


@pytest.mark.parametrize("values", [(), (0, 1), (2, 1), (1, 1)])
def test_lists_that_make_no_sense(values):
    with pytest.raises(UsageError):
        SweepOptions((1,), values, (1,))


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (Grid.degrees(3), (1, 2, 5, 10)),
        (Grid.degrees(4), (1, 2, 5, 10)),
        (Grid.degrees(5), (1, 2, 5, 10, 20, 50, 100)),
        (Grid.degrees("3.5"), (1, 2, 5, 10)),
        (Grid.planar_prec(9), (1, 2, 5, 10)),
    ],
)
def test_default_coarsenings_end_at_some_hundred_metres(grid, expected):
    assert default_coarsenings(grid) == expected


# --- Recommendations ------------------------------------------------------------------------------


def level(coarsen: int, at_least: dict[int, int]) -> Level:
    counts, tiles = (np.array(list(part), np.int64) for part in (at_least, at_least.values()))
    return Level(coarsen, Grid.degrees(4).coarsened(coarsen), counts, tiles)


def power_law(slope: float, counts=range(1, 300), first: int = 10**6) -> dict[int, int]:
    return {k: max(1, round(first * k**-slope)) for k in counts}


def table(levels: list[Level], hubs: dict[tuple[int, int, int], int], *, largest: int = 1) -> Sweep:
    """A sweep with these numbers of hubs, of 1 point each but for the largest one."""
    coarsen, tau, mu = (tuple(sorted({setting[i] for setting in hubs})) for i in range(3))
    rows = [
        SweepRow(m, t, u, f"x{m}", 0, hubs[m, t, u], hubs[m, t, u] + largest, largest, 0.5, 1.0)
        for m in coarsen
        for t in tau
        for u in mu
    ]
    return Sweep(SweepOptions(coarsen, tau, mu), levels, rows)


def test_a_knee_is_where_the_curve_sags_most():
    knee = find_knee(level(1, noisy(10)))
    assert knee is not None
    assert knee.tau == 10
    assert knee.factor > 2


def test_a_gap_between_counts_is_a_step_of_the_curve():
    knee = find_knee(level(1, {1: 12_000_000, 2: 6_000_000, 20: 180_000}))
    assert knee is not None
    assert knee.tau == 3


def test_a_single_fullest_tile_does_not_decide():
    assert find_knee(level(1, power_law(1.5) | {10**9: 1})) is None


def test_a_straight_or_bulging_curve_has_no_knee():
    assert find_knee(level(1, power_law(1.5))) is None
    assert find_knee(level(1, {k: 1001 - k for k in range(1, 1000)})) is None
    assert find_knee(level(1, {})) is None
    assert find_knee(level(1, {1: 100, 7: 1})) is None


def test_a_sag_that_chance_explains_is_no_knee():
    few = {1: 40, 2: 15, 3: 13, 4: 10}
    assert find_knee(level(1, few)) is None
    many = {count: 10_000 * tiles for count, tiles in few.items()}
    assert find_knee(level(1, many)) is not None


def noisy(knee: int, noise: float = 3.0) -> dict[int, int]:
    """A curve that falls steeply up to `knee`, and slowly after."""
    after = 10**10 * knee**-noise
    return {
        k: round(10**10 * k**-noise) if k <= knee else round(after * knee / k)
        for k in range(1, 500)
    }


GRADUAL = {
    (m, t, u): round(1000 / (t * u) ** 0.5)
    for m in (1, 2)
    for t in (2, 5, 10, 20)
    for u in (2, 4, 8)
}


def test_the_deepest_knee_decides_coarsening_and_tau():
    found = recommend(table([level(1, noisy(3)), level(2, noisy(7, 4.0))], GRADUAL))
    assert found.method == "knee"
    assert found.setting is not None
    assert (found.setting.coarsen, found.setting.tau) == (2, 10)
    assert "up to tau 7" in found.reason
    assert [each.knee.tau for each in found.weighed] == [3, 7]


def test_a_knee_beyond_all_listed_tau_is_passed_over():
    found = recommend(table([level(1, noisy(3)), level(2, noisy(40, 4.0))], GRADUAL))
    assert found.setting is not None
    assert (found.setting.coarsen, found.setting.tau) == (1, 5)


def test_after_the_knee_mu_is_the_most_stable():
    hubs = dict(GRADUAL)
    hubs.update({(1, t, u): 300 for t in (2, 5, 10) for u in (4, 8)})
    found = recommend(table([level(1, noisy(3)), level(2, power_law(1))], hubs))
    assert found.setting is not None
    assert (found.setting.coarsen, found.setting.tau, found.setting.mu) == (1, 5, 8)


def bulging(m: int) -> Level:
    return level(m, {k: 2001 - k for k in range(1, 2000)})


def test_without_a_knee_the_plateau_decides():
    hubs = {(m, t, u): 4000 // t // u for m in (1, 2, 5) for t in (2, 5, 10, 20) for u in (2, 4)}
    hubs.update({(m, t, u): 200 for m in (2, 5) for t in (2, 5, 10) for u in (2, 4)})
    found = recommend(table([bulging(1), bulging(2), bulging(5)], hubs))
    assert found.method == "plateau"
    assert found.setting is not None
    assert (found.setting.coarsen, found.setting.tau) == (2, 5)
    assert "it changes by up to 0 %" in found.reason


def test_the_ends_of_the_table_are_not_taken_for_a_plateau():
    hubs = {(1, t, u): n for t, n in ((2, 100), (5, 100), (10, 90), (20, 50)) for u in (1, 2)}
    found = recommend(table([bulging(1)], hubs))
    assert found.setting is not None
    assert found.setting.tau == 5


def test_what_has_grown_together_is_no_plateau():
    hubs = {(m, t, u): 1 if m == 2 else 90 // t for m in (1, 2) for t in (2, 5, 10) for u in (1, 2)}
    grown = table([bulging(1), bulging(2)], hubs, largest=50)
    rows = [r for r in grown.rows if r.coarsen == 1]
    rows = [SweepRow(*(*vars(r).values(),)[:6], 400, 40, 0.5, 1.0) for r in rows]
    both = Sweep(grown.options, grown.levels, [*rows, *grown.rows[len(rows) :]])
    found = recommend(both)
    assert found.setting is not None
    assert found.setting.coarsen == 1
    assert found.weighed[1].best is None
    only_grown = Sweep(SweepOptions((2,), (2, 5, 10), (1, 2)), [bulging(2)], both.rows[len(rows) :])
    assert recommend(only_grown).setting is not None


def test_a_plateau_beats_a_knee_that_settings_do_not_bear_out():
    hubs = {
        (m, t, u): 200 if m == 2 else 4000 // t**2 // u
        for m in (1, 2)
        for t in (2, 5, 10, 20)
        for u in (2, 4)
    }
    found = recommend(table([level(1, noisy(2)), bulging(2)], hubs))
    assert found.weighed[0].knee is not None
    assert found.method == "plateau"
    assert found.setting is not None
    assert (found.setting.coarsen, found.setting.tau) == (2, 5)
    assert "no coarsening shows a knee over tau that settings bear out" in found.reason


@pytest.mark.parametrize(
    ("hubs_of_tau", "tau", "told"),
    [
        ({2: 4000, 5: 600, 10: 200, 20: 10}, 5, "at its least, it changes up to 6.7-fold."),
        ({2: 400, 5: 200, 10: 150, 20: 50}, 5, "at its least, it changes by up to 100 %."),
        ({2: 900, 5: 2, 10: 0, 20: 0}, 5, "at its least, it goes to none, or comes from none."),
    ],
)
def test_where_no_setting_is_convincing_the_least_bad_is_given_as_such(hubs_of_tau, tau, told):
    hubs = {(1, t, u): n for t, n in hubs_of_tau.items() for u in (2, 4)}
    found = recommend(table([bulging(1)], hubs))
    assert found.method == "least_bad"
    assert found.setting is not None
    assert found.setting.tau == tau
    assert told in found.reason


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (0.0, "changes by up to 0 %"),
        (1.0, "changes by up to 100 %"),
        (1.01, "changes up to 2.0-fold"),
        (8.96, "changes up to 10.0-fold"),
        (138.3, "changes up to 139-fold"),
        (5e6, "changes up to 5,000,001-fold"),
        (float("inf"), "goes to none, or comes from none"),
    ],
)
def test_changes_are_told_in_percent_up_to_a_hundred(change, told):
    assert shown_change(change) == told


def test_nothing_to_recommend():
    none = recommend(table([bulging(1)], dict.fromkeys([(1, 2, 4), (1, 5, 4)], 0)))
    assert (none.setting, none.method) == (None, "none")
    assert "the fullest tile of all holds 1,999 points" in none.reason
    one = recommend(table([bulging(1)], {(1, 2, 4): 7}))
    assert one.setting is None
    assert "list several" in one.reason
    empty = recommend(table([level(1, {})], {(1, 2, 4): 0}))
    assert empty.reason == "the state holds no tiles."
