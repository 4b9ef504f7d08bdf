"""Names over time: hubs keep their keys while they keep their points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import UsageError
from gridcli.grid.grid import Grid
from gridcli.raster import naming
from gridcli.raster.naming import (
    labelled_tiles,
    match_greedily,
    open_names,
    share_points,
    take_over,
)
from tests import naive
from tests.naming_examples import (
    block,
    file_in_memory,
    hubs_of,
    places,
    rows_of,
    shifted,
    write_tiles,
)

PIECES = st.integers(1, 20)


def named(before, after):
    """Hubs of the counts `after`, named after those of the hubs or counts `before`."""
    if isinstance(before, dict):
        before = hubs_of(before)
    return take_over(hubs_of(after), file_in_memory(before))


# --- Laws -----------------------------------------------------------------------------------------


@given(places(), places(), st.integers(1, 3), PIECES, PIECES)
def test_as_the_oracle_says(before, after, mu, old_rows, new_rows) -> None:
    old, new = hubs_of(before, mu=mu), hubs_of(after, mu=mu, rows=new_rows)
    found = take_over(new, file_in_memory(old, old_rows))
    names, absorbed = naive.taken_over_keys(rows_of(old), rows_of(new), new.hub_key)
    assert (found.hub_key, found.absorbed) == (names, absorbed)
    assert found.points is new.points


@given(places(), places(), PIECES, PIECES)
def test_shares_are_added_up_tile_by_tile(before, after, old_rows, new_rows) -> None:
    old, new = hubs_of(before), hubs_of(after, rows=new_rows)
    file = file_in_memory(old, old_rows)
    shared = share_points(file.blocks(), labelled_tiles(new))
    found = {
        (file.hub_keys[i], new.hub_key[j]): n
        for (i, j), n in zip(shared.pairs(), shared.points.tolist(), strict=True)
    }
    assert found == naive.shared_points(rows_of(old), rows_of(new))
    assert shared.points.tolist() == sorted(found.values(), reverse=True)


@given(places(), st.integers(1, 3))
def test_the_same_data_keeps_all_keys(counts, mu) -> None:
    hubs = hubs_of(counts, mu=mu)
    again = take_over(hubs, file_in_memory(hubs))
    assert again.hub_key == hubs.hub_key
    assert again.absorbed == [[]] * len(hubs)


@given(places(), st.data())
def test_keys_follow_the_tiles_and_not_the_ranks(counts, data) -> None:
    """Other counts on the same tiles: other ids, but the same hubs."""
    other = {tile: data.draw(st.integers(1, 99)) for tile in counts}
    found = named(counts, other)
    assert [row[3] for row in rows_of(found)] == [row[3] for row in rows_of(hubs_of(counts))]


@given(st.lists(places(6), min_size=3, max_size=4))
def test_a_chain_of_nights(nights) -> None:
    old = hubs_of(nights[0])
    for counts in nights[1:]:
        new = hubs_of(counts)
        names, absorbed = naive.taken_over_keys(rows_of(old), rows_of(new), new.hub_key)
        found = take_over(new, file_in_memory(old))
        assert (found.hub_key, found.absorbed) == (names, absorbed)
        assert len(set(found.hub_key)) == len(found)
        # Hubs under an old name share points with its old owner, and no name is lost silently.
        shared = naive.shared_points(rows_of(old), rows_of(found))
        assert all((key, key) in shared for key in set(found.hub_key) & set(old.hub_key))
        gone = set(old.hub_key) - set(found.hub_key)
        told = [key for keys in found.absorbed for key in keys]
        assert set(told) == gone & {pair[0] for pair in shared}
        assert len(told) == len(set(told))
        old = found


@given(places(), places())
def test_few_sums_wait_at_a_time(before, after) -> None:
    expected = named(before, after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "MOST_WAITING", 1)
        found = named(before, after)
    assert (found.hub_key, found.absorbed) == (expected.hub_key, expected.absorbed)


# --- Cases ----------------------------------------------------------------------------------------


def test_a_hub_that_grows_at_its_smallest_tile_keeps_its_key() -> None:
    found = named(block(5, 5, 4), block(3, 4, 6, 2))
    assert found.hub_key == ["g4/5/5"]


def test_a_split_keeps_the_key_on_the_larger_part() -> None:
    found = named(block(0, 0, 9), {**block(0, 0, 3), **block(4, 0, 5)})
    assert found.hub_key == ["g4/0/0", "g4/0/0~2"]
    assert found.points.tolist() == [25, 15]
    assert found.absorbed == [[], []]


def test_the_part_with_the_larger_share_is_the_larger_one() -> None:
    """Not the larger hub: what grew elsewhere was not part of the old one."""
    found = named(block(0, 0, 9), {**block(0, 0, 5), **block(6, 0, 3), **block(6, 1, 90)})
    assert found.hub_key == ["g4/6/0", "g4/0/0"]


def test_a_merge_keeps_the_larger_key_and_lists_the_others() -> None:
    old = {**block(0, 0, 2), **block(3, 0, 5), **block(9, 0, 3)}
    found = named(old, block(0, 0, 12))
    assert found.hub_key == ["g4/3/0"]
    assert found.absorbed == [["g4/9/0", "g4/0/0"]]


def test_a_hub_that_parts_from_another_again_has_its_own_name_again() -> None:
    merged = named({**block(0, 0, 2), **block(3, 0, 5)}, block(0, 0, 8))
    parted = named(merged, {**block(0, 0, 1), **block(2, 0, 6)})
    assert merged.hub_key == ["g4/3/0"]
    assert parted.hub_key == ["g4/3/0", "g4/0/0"]


def test_a_third_part_of_one_name() -> None:
    parts = named(block(0, 0, 12), {**block(0, 0, 3), **block(4, 0, 8)})
    assert parts.hub_key == ["g4/0/0", "g4/0/0~2"]
    # The part that is called ~2 moves on to the right, and leaves another at (0, 0).
    again = named(parts, {(0, 0): 2, **block(2, 0, 1, count=6), **block(4, 0, 8)})
    assert again.hub_key == ["g4/0/0", "g4/0/0~2", "g4/0/0~3"]


def test_the_name_of_a_hub_that_vanished_tonight_is_not_given_to_another() -> None:
    """Else it would stand for two places in two nights on end."""
    moved = named(block(0, 0, 4), block(2, 0, 4))
    assert moved.hub_key == ["g4/0/0"]
    elsewhere = named(moved, block(0, 0, 2))
    assert (elsewhere.hub_key, elsewhere.absorbed) == (["g4/0/0~2"], [[]])
    assert named(elsewhere, block(0, 0, 2)).hub_key == ["g4/0/0~2"]


def test_a_name_that_vanished_is_free_again_when_no_old_hub_has_it() -> None:
    first = hubs_of({**block(0, 0, 3), **block(9, 9, 3)})
    second = named(first, block(9, 9, 3))
    third = named(second, {**block(-1, 0, 4), **block(9, 9, 3)})
    assert sorted(third.hub_key) == ["g4/-1/0", "g4/9/9"]  # not g4/0/0, which nobody remembers
    fourth = named(first, {**block(-1, 0, 4), **block(9, 9, 3)})
    assert sorted(fourth.hub_key) == ["g4/0/0", "g4/9/9"]


def test_ties_go_to_the_larger_new_hub_then_to_the_first_old_one() -> None:
    split = named(block(0, 0, 5), {**block(0, 0, 2), **block(3, 0, 2), (5, 0): 50})
    assert split.hub_key[0] == "g4/0/0"
    assert split.points.tolist() == [60, 10]
    merge = named({**block(0, 0, 2), **block(3, 0, 2)}, block(0, 0, 5))
    assert (merge.hub_key, merge.absorbed) == (["g4/0/0"], [["g4/3/0"]])


def test_across_180_degrees() -> None:
    grid = Grid.degrees(1)
    old = hubs_of({(-1800, 0): 5, (1799, 0): 5}, grid)
    found = take_over(hubs_of({(1798, 0): 5, (1799, 0): 5}, grid), file_in_memory(old))
    assert found.hub_key == old.hub_key == ["g1/-1800/0"]


def test_far_places_have_nothing_in_common() -> None:
    counts = block(0, 0, 4)
    found = named(counts, shifted(counts, 100))
    assert (found.hub_key, found.absorbed) == (["g4/100/0"], [[]])


@pytest.mark.parametrize(
    ("before", "after"), [({}, block(0, 0, 3)), (block(0, 0, 3), {}), ({}, {})]
)
def test_nights_without_hubs(before, after) -> None:
    found = named(before, after)
    assert found.hub_key == hubs_of(after).hub_key
    assert found.absorbed == [[] for _ in found.hub_key]


def test_other_grids_are_refused(tmp_path) -> None:
    path = write_tiles(hubs_of(block(0, 0, 3), Grid.degrees(5)), tmp_path / "t.csv", "csv")
    assert open_names(path, Grid.degrees(5)).path == path
    with pytest.raises(UsageError, match=r"t.csv is of the grid g5.* of g4"):
        open_names(path, Grid.degrees(4))


@pytest.mark.parametrize("form", ["parquet", "csv", "geojson", "geojsonl", "geojsons", "arrow"])
def test_names_go_through_every_format(form, tmp_path) -> None:
    parts = named(block(0, 0, 9), {**block(0, 0, 3), **block(4, 0, 5)})
    file = open_names(write_tiles(parts, tmp_path / "t", form), Grid.degrees(4))
    again = take_over(hubs_of({**block(-1, 0, 4), **block(4, 0, 5)}), file)
    assert again.hub_key == ["g4/0/0", "g4/0/0~2"]


def test_matching_is_one_to_one() -> None:
    old, new = hubs_of(block(0, 0, 9)), hubs_of({**block(0, 0, 3), **block(4, 0, 5)})
    shared = share_points(labelled_tiles(old), labelled_tiles(new))
    assert match_greedily(shared) == {0: 0}
