"""Files of tiles: every format reads back as it was written, and everything else is explained."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import GridcliError, InputError, UsageError
from gridcli.grid import keys
from gridcli.grid.grid import Grid
from gridcli.grid.records import grid_of_name
from gridcli.output.formats import FORMATS, WGS84_ONLY, write_layer
from gridcli.raster import tilesformats
from gridcli.raster.layers import FORMAT_VERSION, gridcli_record, hubs_layer
from gridcli.raster.outlines.layers import clusters_layer
from gridcli.raster.tilesfile import open_tiles
from tests.naming_examples import block, hubs_of, rows_of, write_tiles
from tests.tile_examples import tile_counts

THREE = {**block(0, 0, 4), **block(10, 0, 2, 2), (30, 1): 7}
"""Hubs of four, four and one tile."""


def read(path) -> list[tuple[int, int, int, str | None]]:
    file = open_tiles(str(path))
    found = []
    for tiles in file.blocks():
        assert len(tiles)
        x, y = keys.unpack(tiles.keys)
        hub_key = [None if hub < 0 else file.hub_keys[hub] for hub in tiles.hub]
        found += zip(x.tolist(), y.tolist(), tiles.count.tolist(), hub_key, strict=True)
    return found


@pytest.fixture(params=FORMATS)
def form(request):
    return request.param


@given(tile_counts(), st.sampled_from([1, 2, 4]), st.sampled_from(FORMATS))
def test_every_format_reads_back(tmp_path_factory, example, mu, form) -> None:
    grid, counts = example
    if grid.planar and form in WGS84_ONLY:
        form = "parquet"
    hubs = hubs_of(counts, grid, mu)
    path = tmp_path_factory.getbasetemp() / f"tiles.{form}"
    write_tiles(hubs, path, form)
    assert read(path) == rows_of(hubs)
    file = open_tiles(str(path))
    assert sum(map(len, file.blocks())) == len(hubs.tiles)
    ids = dict(zip(hubs.hub_key, hubs.hub_id.tolist(), strict=True))
    assert file.hub_ids == [ids[key] for key in file.hub_keys]
    if form in {"csv", "geojsonl", "geojsons"} and file.grid is None:
        assert not len(hubs.tiles) or not len(hubs)
        return
    assert file.grid == grid
    assert file.record.get("tau") == (None if form == "csv" else 5)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_small_pieces_read_the_same(form, rows, tmp_path, monkeypatch) -> None:
    hubs = hubs_of(THREE, mu=4)
    path = write_tiles(hubs, tmp_path / "tiles", form)
    if form in {"geojson", "geojsonl", "geojsons"}:
        monkeypatch.setattr(tilesformats, "BLOCK_BYTES", 100 * rows)
    monkeypatch.setattr(tilesformats, "BATCH_ROWS", rows)
    assert read(path) == rows_of(hubs)


def test_more_than_a_block_of_rows(form, tmp_path) -> None:
    hubs = hubs_of(block(-200, -150, 400, 300), mu=4, rows=50_000)
    path = write_tiles(hubs, tmp_path / "tiles", form)
    file = open_tiles(path)
    blocks = list(file.blocks())
    assert len(blocks) > 1
    assert sum(map(len, blocks)) == 120_000
    assert file.hub_keys == ["g4/-200/-150"]
    assert all((tiles.hub == 0).all() for tiles in blocks)
    again = [tiles.keys for tiles in file.blocks()]
    assert np.array_equal(np.concatenate(again), np.concatenate([b.keys for b in blocks]))


def test_hubs_are_numbered_by_their_smallest_tiles(tmp_path) -> None:
    hubs = hubs_of({(5, 0): 9, (1, 1): 20, (9, 2): 10})
    file = open_tiles(write_tiles(hubs, tmp_path / "t.csv", "csv"))
    (tiles,) = file.blocks()
    assert tiles.hub.tolist() == [0, 1, 2]
    assert file.hub_keys == ["g4/5/0", "g4/1/1", "g4/9/2"]


@pytest.mark.parametrize("form", ["geojson", "geojsonl", "geojsons"])
def test_integers_that_json_cannot_hold(form, tmp_path) -> None:
    hubs = hubs_of({(0, 0): 2**60 + 1, (1, 0): 3})
    assert read(write_tiles(hubs, tmp_path / "t", form)) == rows_of(hubs)


@pytest.mark.parametrize("name", ["g4", "g3.5", "g4x2", "g-1"])
def test_the_grid_of_a_csv_is_that_of_its_keys(name, tmp_path) -> None:
    hubs = hubs_of({(0, 0): 5}, grid_of_name(name))
    assert open_tiles(write_tiles(hubs, tmp_path / "t.csv", "csv")).grid == grid_of_name(name)


def test_a_csv_without_hubs_tells_no_grid(tmp_path) -> None:
    file = open_tiles(write_tiles(hubs_of(THREE, mu=9), tmp_path / "t.csv", "csv"))
    assert file.grid is None
    assert len(read(tmp_path / "t.csv")) == len(THREE)


# --- Other files ----------------------------------------------------------------------------------


def refused(path, kind: type[GridcliError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        read(path)
    text = str(caught.value)
    assert str(path) in text
    for word in words:
        assert word in text
    assert "\n" not in text


@pytest.mark.parametrize("counts", [THREE, {}])
@pytest.mark.parametrize("make", [hubs_layer, clusters_layer])
def test_hubs_and_clusters_name_the_command(make, counts, form, tmp_path) -> None:
    layer = make(hubs_of(counts), gridcli_record(Grid.degrees(4), 5, 1, 1, "chebyshev"))
    path = tmp_path / "layer.txt"
    with path.open("wb") as sink:
        write_layer(layer, sink, form)
    if not path.stat().st_size:  # a sequence of nothing
        refused(path, InputError, "empty file")
    else:
        refused(path, UsageError, "without their tiles", "gridcli raster", "--tiles")


def test_a_state_is_told(tmp_path) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"tile_x": [1], "tile_y": [2], "count": [3]}), path)
    refused(path, UsageError, "state", "gridcli agglomerate")


def test_other_tables_are_told(tmp_path) -> None:
    path = tmp_path / "s.parquet"
    pq.write_table(pa.table({"lat": [1.0], "lon": [2.0]}), path)
    refused(path, InputError, "no file of tiles", "--tiles")
    (tmp_path / "p.csv").write_text("lat,lon\n1,2\n")
    refused(tmp_path / "p.csv", InputError, "no file of tiles")
    (tmp_path / "p.geojson").write_text('{"type":"FeatureCollection","features":[\n]}\n')
    refused(tmp_path / "p.geojson", InputError, "no file of tiles")
    (tmp_path / "p.geojsonl").write_text('{"type":"Feature","properties":{"a":1}}\n')
    refused(tmp_path / "p.geojsonl", InputError, "no file of tiles")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b'{"a": 1}\n',
        b"{}\n",
        b'{"type":"FeatureCollection"\n',
        b'{"type":"FeatureCollection","name":[],"features":[\n]}\n',
        b'{"type":"FeatureCollection","features":[\n[1]\n]}\n',
        b'{"properties":[]}\n',
        b'{"properties":{"tile_x":1}}\n',
        b"\x1e\n",
        b"{" + b"[" * 100_000 + b"\n",
        b'{"properties":' + b"[" * 100_000 + b"\n",
        b"\xff\xfe\x00\n",
        b"PAR1" + bytes(100),
        b"PAR1",
        b"ARROW1" + bytes(100),
        b"tile_x,tile_y,count,hub_id,hub_key\n1,2\n",
        b"tile_x,tile_y,count,hub_id,hub_key\na,2,3,1,g4/0/0\n",
        b"tile_x,tile_y,count,hub_id,hub_key\n1,2,3,1,nonsense\n",
        b"tile_x,tile_y,count,hub_id,hub_key\n1,,3,1,g4/0/0\n",
        b"tile_x,tile_y,count,hub_id,hub_key\n1,2,0,1,g4/0/0\n",
        b"tile_x,tile_y,count,hub_id,hub_key\n1,2,3,1,g4/0/0\n1,2,3,1,g4/0/0\n",
        b"tile_x,tile_y,count,hub_id,hub_key\n1,2,3,1,g4/0/0\n1,1,3,1,g4/0/0\n",
        b"tile_x,tile_y,count,hub_id,hub_key\n3000000000,2,3,1,g4/0/0\n",
        b"tile_x,tile_y,count,hub_id,hub_key\n1,2,3,1,\xff\n",
        b"tile_x,tile_y,count,hub_id,hub_key,count\n1,2,3,1,g4/0/0,3\n",
        bytes(1000),
    ],
)
def test_garbage_is_explained(garbage, tmp_path) -> None:
    (tmp_path / "garbage").write_bytes(garbage)
    refused(tmp_path / "garbage", InputError)


def test_order_is_checked_across_pieces(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tilesformats, "BLOCK_BYTES", 10)
    path = tmp_path / "tiles.csv"
    header = "tile_x,tile_y,count,hub_id,hub_key\n"
    path.write_text(header + "1,1,3,1,g4/1/1\n2,1,3,1,g4/1/1\n1,2,3,1,g4/1/1\n")
    assert len(read(path)) == 3
    path.write_text(header + "1,1,3,1,g4/1/1\n2,1,3,1,g4/1/1\n1,1,3,1,g4/1/1\n")
    refused(path, InputError, "not sorted", "row 3")


def test_what_is_no_file(tmp_path) -> None:
    refused(tmp_path / "missing.parquet", InputError, "No such file")
    refused(tmp_path, InputError, "folder")
    os.mkfifo(tmp_path / "fifo")
    refused(tmp_path / "fifo", InputError, "no regular file")
    (tmp_path / "empty.parquet").touch()
    refused(tmp_path / "empty.parquet", InputError, "empty file")
    with pytest.raises(UsageError, match="give a file"):
        open_tiles("-")
    with pytest.raises(InputError, match="cannot be opened"):
        open_tiles("a\0b")


def test_an_empty_sequence_is_a_file_without_tiles(tmp_path) -> None:
    for suffix in ("geojsonl", "ndjson", "geojsons"):
        (tmp_path / f"t.{suffix}").touch()
        assert read(tmp_path / f"t.{suffix}") == []


def test_a_file_that_is_cut_short_is_never_read_to_an_end(form, tmp_path) -> None:
    """Sequences and CSV have no end mark: cut between two lines, they are what they seem."""
    hubs = hubs_of(THREE)
    whole = rows_of(hubs)
    data = (tmp_path / write_tiles(hubs, tmp_path / "t", form)).read_bytes()
    path = tmp_path / "cut.txt"
    for end in range(1, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:end])
        try:
            found = read(path)
        except InputError:
            continue
        assert form in {"csv", "geojsonl", "geojsons"}
        assert data[end - 1 : end] == b"\n"
        assert found == whole[: len(found)]


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
@pytest.mark.parametrize("form", ["csv", "geojson", "geojsonl", "geojsons"])
def test_damaged_text_is_explained(tmp_path_factory, form, at, noise) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged.{form}"
    write_tiles(hubs_of(THREE), path, form)
    data = path.read_bytes()
    at %= len(data)
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    with suppress(InputError, UsageError):
        read(path)


def rewritten(source, path, change) -> str:
    """A Parquet file with another ``gridcli`` record."""
    table = pq.read_table(source)
    metadata = dict(pq.read_schema(source).metadata or {})
    metadata = {**(pq.ParquetFile(source).metadata.metadata or {}), **metadata}
    record = json.loads(metadata[b"gridcli"])
    pq.write_table(table.replace_schema_metadata({"gridcli": change(record)}), path)
    return str(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": FORMAT_VERSION + 1}, ["newer gridcli", "Upgrade"]),
        ({"format_version": "1"}, ["damaged"]),
        ({"grid": {"name": "q7"}}, ["unknown"]),
        ({"grid": None}, ["unknown"]),
    ],
)
def test_records_are_checked(change, words, tmp_path) -> None:
    source = write_tiles(hubs_of(THREE), tmp_path / "t.parquet", "parquet")
    path = rewritten(source, tmp_path / "u.parquet", lambda r: json.dumps({**r, **change}))
    refused(path, InputError, *words)


@pytest.mark.parametrize("text", ["[]", "{", "7", '"x"'])
def test_records_that_are_none(text, tmp_path) -> None:
    source = write_tiles(hubs_of(THREE), tmp_path / "t.parquet", "parquet")
    refused(rewritten(source, tmp_path / "u.parquet", lambda _: text), InputError, "damaged")


def test_keys_that_are_no_text(tmp_path) -> None:
    """pyarrow reads such a file without a complaint."""
    source = write_tiles(hubs_of(THREE), tmp_path / "t.parquet", "parquet")
    table = pq.read_table(source)
    noise = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")]
    )
    garbled = pa.chunked_array([pa.concat_arrays([noise] * len(table))])
    metadata = pq.ParquetFile(source).metadata.metadata
    changed = table.set_column(table.column_names.index("hub_key"), "hub_key", garbled)
    path = tmp_path / "u.parquet"
    pq.write_table(changed.replace_schema_metadata({"gridcli": metadata[b"gridcli"]}), path)
    refused(path, InputError, "truncated or corrupt")


def test_a_lost_record_is_told(tmp_path) -> None:
    source = write_tiles(hubs_of(THREE), tmp_path / "t.parquet", "parquet")
    pq.write_table(pq.read_table(source).replace_schema_metadata(None), tmp_path / "u.parquet")
    refused(tmp_path / "u.parquet", InputError, "lost the record")
    source = write_tiles(hubs_of(THREE), tmp_path / "t.geojsonl", "geojsonl")
    lines = (tmp_path / "t.geojsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "u.geojsonl").write_bytes(b"".join(lines[1:]))
    refused(tmp_path / "u.geojsonl", InputError, "lost the record")


def test_a_collection_that_goes_on_behind_its_end(tmp_path) -> None:
    path = tmp_path / "t.geojson"
    write_tiles(hubs_of(THREE), path, "geojson")
    path.write_bytes(path.read_bytes() * 2)
    refused(path, InputError)
