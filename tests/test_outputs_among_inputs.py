"""Outputs of one run that another would take for inputs."""

from __future__ import annotations

import pytest

ROWS = "id,lat,lon\n7,57.70005,11.90005\n8,57.70005,11.90005\n"
HUB = ["--tau", "2", "--mu", "1"]


@pytest.fixture
def folder(tmp_path):
    trips = tmp_path / "trips"
    trips.mkdir()
    (trips / "m.csv").write_text(ROWS, encoding="utf-8")
    return trips


@pytest.mark.parametrize("name", ["a.parquet", "z.csv"])
def test_labelled_rows_do_not_count_beside_others(folder, gridcli, name):
    words = ["raster", folder, *HUB, "-o", folder.parent / "hubs.csv"]
    first = gridcli(*words, "--points", folder / name)
    assert first.code == 0
    assert first.err.count("another run would read it") == 1
    assert f"warning: {folder / name} lies among the inputs" in first.err
    for command in ([*words, "--overwrite"], ["contract", folder, "-o", folder.parent / "s.pq"]):
        again = gridcli(*command)
        assert again.code == 2
        assert f"Leave {folder / name} out" in again.err
        again.assert_one_paragraph()
    alone = gridcli("raster", folder / name, *HUB, "-o", folder.parent / "alone.csv")
    assert alone.code == 0


@pytest.mark.parametrize("name", ["_hubs.csv", "_out/hubs.csv", "hubs.geojson", "../hubs.csv"])
def test_outputs_that_are_not_read_are_no_matter(folder, gridcli, name):
    (folder / "_out").mkdir()
    outcome = gridcli("raster", folder, *HUB, "-o", folder / name)
    assert outcome.code == 0
    assert "warning" not in outcome.err


def test_a_glob_and_a_folder_of_rows(folder, gridcli):
    target = folder / "rows"
    words = [*HUB, "-o", folder.parent / "hubs.csv", "--points", target, "--partition-by", "id"]
    outcome = gridcli("raster", f"{folder}/**/*.*", *words)
    assert outcome.code == 0
    assert outcome.err.count(f"{target} lies among the inputs") == 1
