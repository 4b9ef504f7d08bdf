"""The laws of the whole: a run equals the oracle, and nothing but the rows decides its bytes."""

from __future__ import annotations

import io
from collections import Counter
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import DataError
from gridcli.grid import project as projection
from gridcli.grid.grid import Grid
from gridcli.output.formats import write_layer
from gridcli.points.batch import Reason
from gridcli.points.plan import ReadOptions
from gridcli.points.reader import PointReader
from gridcli.raster.counting import MaxBad, NoValidRowError, RowRules
from gridcli.raster.layers import gridcli_record, hubs_layer, tiles_layer
from gridcli.raster.outlines.layers import clusters_layer
from gridcli.raster.run import ClusterOptions, find_hubs
from gridcli.runtime.progress import Progress
from gridcli.runtime.signals import StopFlag
from gridcli.runtime.workspace import Workspace
from gridcli.tiles.table import TableSizes
from tests import naive


def run(paths, grid, *, read=None, threads=2, rules=None, space=None, **options):
    with (
        Workspace(threads) as own_space,
        PointReader([str(path) for path in paths], read or ReadOptions()) as reader,
    ):
        return find_hubs(
            reader,
            grid,
            ClusterOptions(**options),
            rules or RowRules(),
            space or own_space,
            progress=Progress(),
            stop=StopFlag(),
        )


def expected_hubs(pairs, prec, tau, mu, delta, metric):
    """Hubs, reasons and tile counts of the oracle."""
    projected = [naive.project(lon, lat, prec) for lon, lat in pairs]
    reasons = Counter(tile for tile in projected if isinstance(tile, str))
    count = Counter(tile for tile in projected if not isinstance(tile, str))
    grid = Grid.degrees(prec)
    components = naive.agglomerate(
        {tile for tile, n in count.items() if n >= tau}, delta, metric, grid.columns
    )
    return naive.hubs(components, count, mu, grid), reasons, count


def clustered(centre_lon, centre_lat, size):
    """Points around a centre, close enough to fill tiles, anywhere on the earth."""
    step = st.integers(-30, 30).map(lambda k: k * size / 7)

    def place(offsets):
        lon = centre_lon + offsets[0]
        lon = lon + 360 if lon < -180 else lon
        return lon, max(-90.0, min(90.0, centre_lat + offsets[1]))

    return st.tuples(step, step).map(place)


@st.composite
def clouds(draw):
    prec = draw(st.sampled_from(["0", "1", "3", "4", "2.5"]))
    size = 10.0 ** -float(prec)
    centres = [(0.01, 0.01), (179.99, 10.0), (-180.0, -60.0), (12.0, 89.99), (0.0, -90.0)]
    lon, lat = draw(st.sampled_from(centres))
    anywhere = st.tuples(st.floats(-200, 400), st.floats(-95, 95))
    pairs = draw(st.lists(clustered(lon, lat, size), min_size=1, max_size=150))
    return prec, pairs + draw(st.lists(anywhere, max_size=5))


@settings(max_examples=80)
@given(
    clouds(),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["chebyshev", "manhattan"]),
    st.integers(1, 3),
)
def test_a_run_equals_the_oracle(tmp_path_factory, cloud, tau, mu, delta, metric, threads):
    prec, pairs = cloud
    path = tmp_path_factory.mktemp("law") / "points.parquet"
    lon, lat = zip(*pairs, strict=True)
    pq.write_table(pa.table({"lon": lon, "lat": lat}), path, row_group_size=40)
    hubs, reasons, count = expected_hubs(pairs, prec, tau, mu, delta, metric)
    options = {"tau": tau, "mu": mu, "delta": delta, "metric": metric, "threads": threads}
    if not count:
        with pytest.raises(NoValidRowError):
            run([path], Grid.degrees(prec), **options)
        return
    found = run([path], Grid.degrees(prec), **options)
    assert found.counts.read == len(pairs)
    assert found.counts.used == sum(count.values())
    assert {r.label: n for r, n in found.counts.reasons.items() if n} == reasons
    assert found.distinct_tiles == len(count)
    assert found.largest_count == max(count.values())
    assert found.hubs.hub_id.tolist() == list(range(1, len(hubs) + 1))
    assert found.hubs.hub_key == [f"g{prec}/{hub.smallest[0]}/{hub.smallest[1]}" for hub in hubs]
    assert found.hubs.points.tolist() == [hub.points for hub in hubs]
    assert found.hubs.n_tiles.tolist() == [len(hub.tiles) for hub in hubs]
    grid = Grid.degrees(prec)
    centres = [(float(hub.x) / grid.scale, float(hub.y) / grid.scale) for hub in hubs]
    for (x, y), lon, lat in zip(centres, found.hubs.lon, found.hubs.lat, strict=True):
        # A tenth of a millimetre, whichever way round.
        assert abs((lon - x + 180) % 360 - 180) < 1e-9
        assert abs(lat - max(-90.0, min(90.0, y))) < 1e-9


def trips(rng, n):
    """Fixes at a few stops, on the way between them, and bad rows."""
    centres = np.array([[11.95, 57.7], [179.9999, 10.0], [-179.9999, 10.0], [-0.1, 51.5]])
    at = centres[rng.integers(0, len(centres), n)] + rng.normal(0, 4e-4, (n, 2))
    at[::17] = rng.uniform([-180, -90], [180, 90], (len(at[::17]), 2))
    at[5::101] = np.nan
    at[7::103, 1] = 91.0
    at[9::107] = 0.0
    return np.round(at, 6)


def written(found):
    """Bytes of every output in every format."""
    record = gridcli_record(found.hubs.tiles.grid, 3, 2, 1, "chebyshev")
    contents = {}
    for layer in (
        hubs_layer(found.hubs, record),
        tiles_layer(found.hubs, record),
        clusters_layer(found.hubs, record),
    ):
        for form in ("geojson", "geojsonl", "geojsons", "parquet", "csv", "arrow"):
            sink = io.BytesIO()
            write_layer(layer, sink, form)
            contents[layer.name, form] = sink.getvalue()
    return contents


class StingyBudget:
    """Memory for next to nothing: tables spill, or only what comes after them."""

    limit_bytes = 1 << 30
    is_short = False

    def __init__(self, *, spills):
        self.spills = spills
        self.room = 100_000

    def expect(self, n_bytes):
        pass

    def claim(self, n_bytes, *, force=False):
        return force or not self.spills

    def release(self, n_bytes):
        pass


@pytest.mark.parametrize("relaxed", [{}, {"window": "gaps", "epsilon": 1}])
def test_only_the_rows_and_no_limit_decide_the_bytes(tmp_path, monkeypatch, relaxed):
    monkeypatch.setattr("gridcli.tiles.group.FIRST_CAPACITY", 5)
    monkeypatch.setattr("gridcli.tiles.group.SURE_CAPACITY", 0)
    monkeypatch.setattr("gridcli.raster.significant.BYTES_PER_CLUSTERED_TILE", 1_000)
    monkeypatch.setattr("gridcli.tiles.merge.MOST_ROWS", 300)
    monkeypatch.setattr("gridcli.tiles.merge.FEWEST_ROWS", 300)
    rng = np.random.default_rng(3)
    rows = trips(rng, 6_000)
    reference = None
    for trial in range(6):
        shuffled = rows[rng.permutation(len(rows))] if trial else rows
        folder = tmp_path / f"trial{trial}"
        folder.mkdir()
        paths = []
        for i, part in enumerate(np.array_split(shuffled, 1 + trial)):
            table = pa.table({"lon": part[:, 0], "lat": part[:, 1]})
            path = folder / f"{rng.integers(10**6)}-{i}.{'csv' if i % 2 else 'parquet'}"
            if i % 2:
                pa.csv.write_csv(table, path)
            else:
                pq.write_table(table, path, row_group_size=int(rng.integers(50, 3000)))
            paths.append(path)
        monkeypatch.setattr(projection, "PIECE", int(rng.integers(10, 5_000)))
        monkeypatch.setattr("gridcli.raster.projecting.PIECE", projection.PIECE)
        monkeypatch.setattr("gridcli.raster.relax.rows.SLICE_TILES", int(rng.integers(1, 2_000)))
        sizes = TableSizes(int(rng.integers(1, 200)), 1 << int(rng.integers(13, 16)))
        monkeypatch.setattr(TableSizes, "within", lambda _limit, sizes=sizes: sizes)
        with Workspace(1 + trial % 4) as space:
            if trial % 2:
                monkeypatch.setattr(space, "budget", StingyBudget(spills=trial % 4 == 1))
            found = run(paths, Grid.degrees(4), tau=3, mu=2, space=space, **relaxed)
            assert (space.spill.size > 0) == bool(trial % 2)
            assert found.counts.reasons[Reason.NULL_ISLAND] > 0
            assert len(found.hubs) >= 3
            outputs = written(found)
        reference = reference or outputs
        assert outputs.keys() == reference.keys()
        for name, content in outputs.items():
            assert content == reference[name], name


def test_planar_indexes_that_do_not_fit_name_the_finest_precision(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("x,y\n5,5\n3000000,10\n")
    options = ReadOptions(planar=True)
    with pytest.raises(DataError, match=r"--prec 2\b"):
        run([path], Grid.planar_prec(4), read=options)
    run([path], Grid.planar_prec(2), read=options)
    path.write_text("x,y\n5,5\n30000000000,10\n")
    with pytest.raises(DataError, match=r"--tile-size 14\b"):
        run([path], Grid.planar_size("0.5"), read=options)
    run([path], Grid.planar_size("14"), read=options)


def test_max_bad_counts_the_first_four_reasons(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("lat,lon\n" + "50,10\n" * 96 + "0,0\n0,0\n,\n99,10\n")
    grid = Grid.degrees(2)
    assert run([path], grid, rules=RowRules(max_bad=MaxBad(rows=2))).counts.bad == 2
    assert (
        run([path], grid, rules=RowRules(max_bad=MaxBad(share=Fraction(2, 100)))).counts.read == 100
    )
    with pytest.raises(DataError, match=r"2 of 100 rows are bad .*1 null, 1 out_of_range"):
        run([path], grid, rules=RowRules(max_bad=MaxBad(rows=1)))
    with pytest.raises(DataError, match=r"--max-bad 1\.5 %"):
        run([path], grid, rules=RowRules(max_bad=MaxBad(share=Fraction(15, 1000))))


def test_a_bad_row_beside_valid_ones_outside_the_box_is_no_failure(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("lat,lon\n50,10\n51,10\nx,1\n")
    found = run([path], Grid.degrees(2), rules=RowRules(bbox=(0.0, 0.0, 1.0, 1.0)))
    assert (found.counts.used, found.counts.outside, found.counts.bad) == (0, 2, 1)
