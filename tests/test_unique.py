"""Each distinct coordinate counts once: exactly, whatever holds it and however little memory."""

from __future__ import annotations

import threading
from decimal import Decimal
from fractions import Fraction
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import ResourceError, UsageError
from gridcli.grid import project as projection
from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack, unpack
from gridcli.points.plan import ReadOptions
from gridcli.points.reader import PointReader
from gridcli.raster.counting import RowRules, count_points
from gridcli.raster.unique import kernels
from gridcli.raster.unique.coordinates import coordinate_bits, nearest_doubles
from gridcli.raster.unique.rule import UniqueRule
from gridcli.raster.unique.vehicles import NO_VEHICLE, VehicleCodes
from gridcli.runtime.progress import Progress
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from tests import naive


class StingyBudget:
    """Memory for next to nothing."""

    limit_bytes = 1 << 30
    room = 1000

    def __init__(self, *, is_short=False):
        self.is_short = is_short

    def expect(self, n_bytes):
        pass

    def claim(self, n_bytes, *, force=False):
        return force

    def release(self, n_bytes):
        pass


@pytest.fixture
def tiny(monkeypatch):
    """Buffers of a few records, so that little data does what much data does."""
    monkeypatch.setattr("gridcli.raster.unique.group.FIRST_CAPACITY", 4)
    monkeypatch.setattr("gridcli.raster.unique.group.SURE_CAPACITY", 0)
    monkeypatch.setattr("gridcli.raster.unique.drain.LEAST_BYTES", 200)
    monkeypatch.setattr("gridcli.tiles.sharing.SMALL_GROUP_BYTES", 0)


def counted(paths, prec="4", vehicle=None, *, threads=2, budget=None, **read):
    """Count the tiles of some files; return them, and what became of the rows."""
    extra = () if vehicle is None else (vehicle,)
    with (
        Workspace(threads) as space,
        PointReader(
            [str(path) for path in paths], ReadOptions(extra_columns=extra, **read)
        ) as reader,
    ):
        space.budget = budget or space.budget
        rules = RowRules(unique=UniqueRule(vehicle))
        stop = StopFlag()
        table, counts = count_points(
            reader, Grid.degrees(prec), rules, space, progress=Progress(), stop=stop
        )
        tiles = {}
        for keys, n in table.drain():
            x, y = unpack(keys)
            tiles |= dict(zip(zip(x.tolist(), y.tolist(), strict=True), n.tolist(), strict=True))
        if isinstance(budget, StingyBudget):
            assert space.spill.size > 0
    assert counts.points == sum(tiles.values())
    return tiles, counts


def write(path, lon, lat, vehicle, **options):
    """Write points, as the suffix says."""
    table = pa.table({"lon": lon, "lat": lat, "id": vehicle})
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, **options)
    return path


FEW = [-180.0, 180.0, 179.9999, 359.5, -0.5, 0.0, -0.0, 11.5, 11.50001]
lons = st.sampled_from([*FEW, 360.0, 1e-300])
lats = st.sampled_from([*FEW[3:], 57.0, 90.0, -90.0, 91.0])
rows_of_few_places = st.lists(
    st.tuples(lons, lats, st.sampled_from([None, 0, 1, -5, 10**18])), min_size=1, max_size=60
)


@settings(max_examples=12)
@given(rows_of_few_places, st.integers(1, 3), st.randoms(use_true_random=False))
def test_files_of_any_format_are_one_set_of_rows(tmp_path_factory, rows, threads, random):
    folder = tmp_path_factory.mktemp("unique")
    random.shuffle(rows)
    rows += [(10.0, 10.0, 7)]
    cuts = sorted(random.randrange(len(rows) + 1) for _ in range(2))
    parts = [rows[: cuts[0]], rows[cuts[0] : cuts[1]], rows[cuts[1] :]]
    paths = []
    for part, name in zip(parts, ("a.parquet", "b.csv", "c.parquet"), strict=True):
        lon, lat, ids = [list(column) for column in zip(*part, strict=True)] or [[], [], []]
        if name == "b.csv":  # numbers as Python writes them, vehicles as text
            lines = [f"{x!r},{y!r},{'' if v is None else v}" for x, y, v in part]
            (folder / name).write_text("\n".join(["lon,lat,id", *lines]) + "\n")
            paths.append(folder / name)
            continue
        paths.append(
            write(
                folder / name,
                pa.array(lon, pa.float64()),
                pa.array(lat, pa.float64()),
                pa.array(ids, pa.int64()),
                row_group_size=7,
            )
        )
    for vehicle in (None, "ID"):
        told = rows if vehicle else [(x, y, None) for x, y, _ in rows]
        tiles, counts = counted(paths, vehicle=vehicle, threads=threads)
        expected, repeated = naive.unique_count(told, "4")
        assert tiles == expected
        assert counts.repeated == repeated
        assert counts.read == len(rows) == counts.used + sum(counts.reasons.values())


def test_text_doubles_decimals_and_scaled_integers_are_the_same_numbers(tmp_path):
    digits = [1234567, -1234567, 0, 3599999999, 1799999999, 1, 900000000]
    doubles = [k / 10**7 for k in digits]
    exact = pa.array([Decimal(k).scaleb(-7) for k in digits], pa.decimal128(12, 7))
    one = pa.array([57.1] * len(digits))
    ids = pa.array([None] * len(digits), pa.int64())
    paths = [
        write(tmp_path / "double.parquet", pa.array(doubles), one, ids),
        write(tmp_path / "decimal.parquet", exact, one.cast(pa.decimal128(4, 1)), ids),
        write(tmp_path / "text.csv", exact, one, ids),
    ]
    _, counts = counted(paths)
    assert counts.points == len(digits)
    assert counts.repeated == 2 * len(digits)
    floats = write(
        tmp_path / "whole.parquet", pa.array(digits, pa.float64()), pa.array(digits), ids
    )
    whole = write(tmp_path / "whole.csv", pa.array(digits), pa.array(digits), ids)
    _, counts = counted([floats, whole], scale=Fraction(1, 10**7))
    assert counts.used == 2 * counts.points > 0


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**20), 2**20), max_size=20),
    st.sampled_from(
        [
            Fraction(1, 10**7),
            Fraction(1, 10**16),
            Fraction(1, 3600000),
            Fraction(7, 3),
            Fraction(1, 3**40),
        ]
    ),
)
def test_scaled_integers_are_rounded_once(values, unit):
    found = nearest_doubles(np.array(values, np.int64), unit)
    assert found.tolist() == [float(value * unit) for value in values]


def test_longitudes_are_compared_within_a_turn_and_zero_has_no_sign():
    lon = np.array([180.0, 359.75, 360.0, -0.0, 179.5])
    assert coordinate_bits(lon, None, wraps=True).view(np.float64).tolist() == [
        *(-180.0, -0.25, 0.0, 0.0, 179.5)
    ]
    bits = coordinate_bits(np.array([-0.0, 0.0, 300.0]), None)
    assert bits[0] == bits[1]
    assert bits.view(np.float64)[2] == 300.0


@pytest.mark.parametrize("is_short", [False, True])
def test_little_memory_changes_nothing(tmp_path, tiny, monkeypatch, is_short):
    random = np.random.default_rng(4)
    lon = np.round(random.uniform(-180, 180, 1500), 2)[random.integers(0, 1500, 6000)]
    lat = np.round(lon / 3, 2)
    lat[::3] += 0.5
    ids = random.integers(0, 3, len(lon))
    expected, repeated = naive.unique_count(
        zip(lon.tolist(), lat.tolist(), ids.tolist(), strict=True), "1"
    )
    assert 2000 < sum(expected.values()) < 5000
    monkeypatch.setattr("gridcli.raster.unique.table.LIST_RECORDS", 1 << 11)
    monkeypatch.setattr(projection, "PIECE", 1500)
    monkeypatch.setattr("gridcli.raster.projecting.PIECE", 1500)
    turns = []
    select = kernels.select_pass
    monkeypatch.setattr(
        kernels, "select_pass", lambda *args: (turns.append(args[1:3]), select(*args))[1]
    )
    for trial in range(2):
        order = random.permutation(len(lon))
        path = tmp_path / f"{trial}.parquet"
        write(path, lon[order], lat[order], ids[order], row_group_size=900 + trial)
        budget = StingyBudget(is_short=is_short)
        tiles, counts = counted([path], "1", "id", threads=2 - trial, budget=budget)
        assert tiles == expected
        assert counts.repeated == repeated
    assert {turn for _, turn in turns} > {0, 1}  # partitions were read in several passes
    tiles, counts = counted([path], "1", "id")
    assert (tiles, counts.repeated) == (expected, repeated)


def test_records_are_compared_whole_where_their_hashes_agree(monkeypatch):
    monkeypatch.setattr(kernels, "_hash", lambda *_: np.uint64(2**63 + 12345))
    random = np.random.default_rng(1)
    records = random.integers(0, 2, (60, 4)).astype(np.uint64)
    expected = list(dict.fromkeys(map(tuple, records.tolist())))
    # All share one place of the cache, so that it knows the last one.
    cache, out = np.full((1 << kernels.CACHE_BITS, 4), 9, np.uint64), np.empty_like(records)
    n = kernels.drop_recent.py_func(*records.T, cache, out)
    assert list(map(tuple, out[:n].tolist())) == [
        key for key, _ in groupby(map(tuple, records.tolist()))
    ]
    held = np.array([60])
    kernels.keep_distinct.py_func(records[np.newaxis], held, np.array([0]), np.empty(120, np.int32))
    assert held[0] == len(expected) == 16
    assert list(map(tuple, records[:16].tolist())) == expected


def test_a_parked_logger_ends_in_the_cache(tmp_path):
    n = 100_000
    write(tmp_path / "a.parquet", np.full(n, 11.5), np.full(n, 57.5), np.arange(n) % 5)
    tiles, counts = counted([tmp_path / "a.parquet"], vehicle="id")
    assert tiles == {(115000, 575000): 5}
    assert counts.repeated == n - 5


# --- Vehicles -----------------------------------------------------------------------------------


def codes_of(*arrays, column="id"):
    """Codes of several columns, one after the other, by one set of codes."""
    with Workspace(1) as space:
        codes = VehicleCodes(column, space.budget)
        return [
            codes.codes(pa.RecordBatch.from_arrays([array], names=["Id"])).view(np.int64).tolist()
            for array in arrays
        ]


NAMES = [
    "7",
    "07",
    "+7",
    "-3",
    "-0",
    "0",
    "",
    "7.5",
    "ÅÄÖ",
    "1" * 18,
    "1" * 19,
    "-" + "9" * 19,
    None,
]


def test_text_is_the_same_in_any_type():
    texts = pa.array(NAMES)
    found = codes_of(
        texts,
        texts.cast(pa.large_string()),
        texts.cast(pa.string_view()),
        texts.cast(pa.binary()),
        texts.dictionary_encode(),
        pa.concat_arrays([pa.array(["x"]), texts])[1:],
        pa.DictionaryArray.from_arrays(pa.array([*range(len(NAMES))]), texts),
    )
    assert all(codes == found[0] for codes in found)
    assert len(set(found[0])) == len(NAMES)
    assert found[0][0] == 7
    assert found[0][-1] == NO_VEHICLE
    codes = dict(zip(NAMES, found[0], strict=True))
    integers, large, unsigned, floats, decimals, small = codes_of(
        pa.array([7, -3, 0, int("1" * 18), None]),
        texts,
        pa.array([7, int("1" * 19)], pa.uint64()),
        pa.array([7.0, -3.0, -0.0, 7.5, None, float("nan")], pa.float32()),
        pa.array([Decimal(7), Decimal(-3), Decimal("1" * 19)], pa.decimal128(20)),
        pa.array([7, -3], pa.int8()),
    )
    assert large[:-1] != integers
    assert integers == [7, -3, 0, codes["1" * 18], NO_VEHICLE]
    by_name = dict(zip(NAMES, large, strict=True))
    assert unsigned == [7, by_name["1" * 19]]
    assert floats == [7, -3, 0, by_name["7.5"], NO_VEHICLE, NO_VEHICLE]
    assert decimals == [7, -3, by_name["1" * 19]]
    assert small == [7, -3]


@given(st.lists(st.integers(-(2**63), 2**64 - 1) | st.integers(-3, 3), min_size=1, max_size=30))
def test_integers_are_told_apart_as_their_texts(values):
    signed = [value for value in values if value < 2**63]
    unsigned = [value for value in values if value >= 0]
    texts, *found = codes_of(
        pa.array([str(value) for value in values]),
        pa.array(signed, pa.int64()),
        pa.array(unsigned, pa.uint64()),
    )
    by_value = dict(zip(values, texts, strict=True))
    assert len(set(texts)) == len(set(values))
    assert found[0] == [by_value[value] for value in signed]
    assert found[1] == [by_value[value] for value in unsigned]


def test_whole_floats_are_integers_of_any_size():
    values = [2**53 - 1, 2**53, -(2**53) - 2, 10**18 - 2**7, 10**18, -(10**18), 2**62, 10**19]
    doubles = pa.array([float(value) for value in values])
    assert [int(value) for value in doubles.to_pylist()] == values
    texts, floats = codes_of(pa.array([str(value) for value in values]), doubles)
    assert floats == texts
    assert len(set(floats)) == len(values)
    infinite = codes_of(pa.array(["inf", "-inf"]), pa.array([float("inf"), -float("inf")]))
    assert infinite[0] == infinite[1]


def test_identifiers_of_bytes_and_empty_columns():
    ids = [bytes([i] * 16) for i in (1, 2, 1)]
    fixed, plain, nothing, empty = codes_of(
        pa.array(ids, pa.binary(16)),
        pa.array(ids),
        pa.nulls(2),
        pa.DictionaryArray.from_arrays(pa.array([None], pa.int8()), pa.array([], pa.string())),
    )
    assert fixed == plain
    assert fixed[0] == fixed[2] != fixed[1]
    assert nothing == [NO_VEHICLE] * 2
    assert empty == [NO_VEHICLE]


def test_columns_that_name_no_vehicle_are_refused():
    for array in (pa.array([True]), pa.array([[1]]), pa.array([0], pa.timestamp("s"))):
        with pytest.raises(UsageError, match="--vehicle id: the column has type"):
            codes_of(array)


def test_threads_agree_on_codes():
    with Workspace(1) as space:
        codes = VehicleCodes("id", space.budget)
        names = [f"truck {i}" for i in range(3000)]
        random = np.random.default_rng(2)
        found = {}

        def work(turn):
            mine = random.permutation(names).tolist()
            batch = pa.RecordBatch.from_pydict({"id": mine})
            found[turn] = dict(zip(mine, codes.codes(batch).tolist(), strict=True))

        threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert all(each == found[0] for each in found.values())
    assert len(set(found[0].values())) == len(names)


def test_too_many_texts_are_refused_with_numbers(monkeypatch):
    monkeypatch.setattr("gridcli.raster.unique.vehicles.TEXT_BYTES", 1 << 40)
    codes_of(pa.array(["1", "2", "3"]))
    with pytest.raises(ResourceError, match=r"more than 2 different texts.*--max-memory"):
        codes_of(pa.array(["a", "b", "a"]))


def test_a_place_in_several_tiles_counts_in_each():
    """Tiles with a third axis, of time, hold one place over and over."""
    keys = pack(np.array([1, 2, 1]), np.array([1, 1, 1]))
    bits = np.zeros(3, np.uint64)
    cache = np.full((1 << kernels.CACHE_BITS, 4), 2**64 - 1, np.uint64)
    out = np.empty((3, 4), np.uint64)
    assert kernels.drop_recent(keys, bits, bits, bits, cache, out) == 2
    assert out[:2, 0].tolist() == keys[:2].tolist()


@pytest.mark.parametrize("varying", range(4))
def test_records_are_spread_evenly_whichever_word_differs(varying):
    n, partitions = 40_000, 1 << kernels.PARTITION_BITS
    words = np.full((n, 4), 7, np.uint64)
    steps = [np.arange(n), 1e-6 * np.arange(n), 57 + 1e-7 * np.arange(n), np.arange(n)]
    words[:, varying] = steps[varying].view(np.uint64)
    starts = np.empty(partitions + 1, np.int64)
    kernels.partition_records(words, n, starts, np.empty_like(starts), np.empty_like(words))
    sizes = np.diff(starts)
    # Six standard deviations of what falls evenly.
    assert abs(sizes - n / partitions).max() < 6 * (n / partitions) ** 0.5
    chosen = kernels.select_pass(words, 4, 1, np.empty_like(words))
    assert abs(chosen - n / 4) < 6 * (n / 4) ** 0.5
