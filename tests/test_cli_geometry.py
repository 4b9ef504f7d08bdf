"""`--geometry hull|ellipse` on the command line: every format, every command that has it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

SUFFIXES = ("geojson", "geojsonl", "geojsons", "parquet", "csv", "arrow")


@pytest.fixture
def places(tmp_path, monkeypatch) -> Path:
    """Dense places, one of them across 180 degrees and one at the pole, each with a sparse rim."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(4)
    lon, lat = [], []
    for x, y in ((11.97, 57.7), (180.0, -16.5), (12.4, 89.9999)):
        for points, spread in ((600, 2e-4), (600, 2e-3)):
            lon.append(x + random.normal(0, spread, points))
            lat.append(y + random.normal(0, spread, points))
    x, y = (np.concatenate(of).round(7) for of in (lon, lat))
    path = tmp_path / "points.parquet"
    x = np.where(x > 180, x - 360, x)
    pq.write_table(pa.table({"lon": x, "lat": np.minimum(y, 90.0)}), path)
    return path


def rows_in(path: str) -> list[tuple[dict[str, object], shapely.Geometry]]:
    """Return attributes and geometry of each row, whatever the format."""
    suffix = path.rpartition(".")[2]
    if suffix.startswith("geojson"):
        text = Path(path).read_text(encoding="utf-8").replace("\x1e", "")
        lines = [json.loads(line) for line in text.splitlines()] if suffix[7:] else []
        features = lines or json.loads(text)["features"]
        return [
            (f["properties"], shapely.from_geojson(json.dumps(f["geometry"]))) for f in features
        ]
    if suffix == "csv":
        with Path(path).open(encoding="utf-8") as file:
            return [(row, shapely.from_wkt(row.pop("geometry"))) for row in csv.DictReader(file)]
    if suffix == "arrow":
        rows = pa.ipc.open_file(path).read_all().to_pylist()
    else:
        rows = pq.read_table(path).to_pylist()
        assert [row.pop("bbox") for row in rows] == [_box(row["geometry"]) for row in rows]
    return [(row, shapely.from_wkb(row.pop("geometry"))) for row in rows]


def _box(wkb: bytes) -> dict[str, float]:
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), shapely.from_wkb(wkb).bounds, strict=True))


@pytest.mark.parametrize("shape", ["hull", "ellipse"])
def test_every_format_holds_the_same(gridcli, places, shape) -> None:
    found = []
    for suffix in SUFFIXES:
        target = f"hubs.{suffix}"
        outcome = gridcli("raster", places, "--geometry", shape, "-o", target, "-q")
        assert outcome.code == 0, outcome.err
        found.append(rows_in(target))
    first = found[0]
    assert len(first) == 4
    for rows in found:
        for (row, drawn), (expected, as_drawn) in zip(rows, first, strict=True):
            assert list(row) == list(expected)
            assert drawn.geom_type == "MultiPolygon"
            assert drawn.normalize().equals_exact(as_drawn.normalize(), 1e-7)
    has_axes = "semi_major_m" in first[0][0]
    assert has_axes == (shape == "ellipse")


@pytest.mark.parametrize("shape", ["hull", "ellipse"])
def test_states_and_threads_change_nothing(gridcli, places, shape) -> None:
    assert gridcli("contract", places, "-o", "day.state.parquet", "-q").code == 0
    again = ("agglomerate", "day.state.parquet", "--geometry", shape, "-o", "again.parquet", "-q")
    options = ("--geometry", shape, "-q", "--threads")
    assert gridcli(*again).code == 0
    assert gridcli("raster", places, "-o", "one.parquet", *options, "1").code == 0
    assert gridcli("raster", places, "-o", "two.parquet", *options, "2").code == 0
    one, two, third = (Path(f"{name}.parquet").read_bytes() for name in ("one", "two", "again"))
    assert one == two == third


@pytest.mark.parametrize("shape", ["hull", "ellipse"])
def test_levels_of_adaptive_have_their_shapes(gridcli, places, shape) -> None:
    assert gridcli("contract", places, "-o", "day.state.parquet", "-q").code == 0
    outcome = gridcli(
        *("agglomerate", "day.state.parquet", "--adaptive", "1,10", "--geometry", shape),
        *("-o", "hubs.geojson", "--clusters", "clusters.geojson", "--mu", "2", "-q"),
    )
    assert outcome.code == 0, outcome.err
    hubs, clusters = rows_in("hubs.geojson"), rows_in("clusters.geojson")
    assert {row["coarsen"] for row, _ in hubs} == {1, 10}
    for (row, drawn), (same, outline) in zip(hubs, clusters, strict=True):
        assert row["hub_key"] == same["hub_key"]
        assert drawn.buffer(1e-9).covers(outline)
        after_north = ["semi_major_m", "semi_minor_m", "azimuth_deg"] if shape == "ellipse" else []
        assert list(row)[list(row).index("north") + 1 :] == [*after_north, "coarsen", "rim_of"]


def test_planar_columns_have_no_units(gridcli, places) -> None:
    options = (
        "--planar",
        "--x",
        "lon",
        "--y",
        "lat",
        "--tile-size",
        "0.0001",
        "--crs",
        "EPSG:3006",
    )
    outcome = gridcli("raster", places, *options, "--geometry", "ellipse", "-o", "h.arrow", "-q")
    assert outcome.code == 0, outcome.err
    table = pa.ipc.open_file("h.arrow").read_all()
    assert table.column_names[-4:] == ["semi_major", "semi_minor", "azimuth_deg", "geometry"]


def test_keys_of_before_stand_last(gridcli, places) -> None:
    before = ("raster", places, "-o", "old.geojson", "--tiles", "old.parquet", "-q")
    assert gridcli(*before).code == 0
    options = ("--keys-from", "old.parquet", "--geometry", "ellipse", "-q")
    assert gridcli("raster", places, "-o", "new.csv", *options).code == 0
    rows = rows_in("new.csv")
    assert list(rows[0][0])[-2:] == ["azimuth_deg", "absorbed"]
