"""Synthetic data: what the paper's profile promises, and how any profile is written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcli.errors import OutputError, UsageError
from gridcli.synth import parts, write
from gridcli.synth.paper import LATTICE_LAT, LATTICE_LON, PaperData, lattice_centres
from gridcli.synth.permutation import Permutation
from gridcli.synth.write import generate

REPOSITORY = Path(__file__).resolve().parent.parent
BOTH = pytest.mark.parametrize("profile", ["paper", "fleet"])


def rows(folder):
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*")))


def truth(folder):
    return pq.read_table(folder / write.TRUTH_FILE)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whole(data):
    return pa.concat_tables(data.part(0, 1))


# The paper's profile


@given(size=st.integers(1, 5000), seed=st.integers(0, 99))
def test_permutation_is_a_bijection(size, seed):
    permutation = Permutation.random(size, np.random.default_rng(seed))
    image = permutation(np.arange(size, dtype=np.uint64))
    assert np.array_equal(np.sort(image), np.arange(size))


def test_paper_points_lie_around_their_centres():
    data = PaperData(points=25_130, clusters=50, seed=3)
    table, answer = whole(data), data.truth()
    centres = np.column_stack([answer["lon"], answer["lat"]])
    points = np.column_stack([table["lon"], table["lat"]])
    distance = np.abs(points[:, None, :] - centres[None]).max(axis=2)
    nearest = distance.argmin(axis=1)
    assert distance.min(axis=1).max() <= 0.001
    assert np.array_equal(np.bincount(nearest, minlength=50), answer["points"].to_numpy())
    assert set(answer["points"].to_pylist()) == {502, 503}
    # Shuffled as a whole: consecutive points are of one cluster as often as chance has it.
    assert np.mean(nearest[1:] == nearest[:-1]) < 0.04
    assert len(set(nearest[:500])) == 50


def test_paper_offsets_have_the_moments_of_the_papers_law():
    data = PaperData(points=200_000, clusters=1, seed=5)
    table = whole(data)
    dx, dy = (
        (table[name].to_numpy() - data.truth()[name][0].as_py()) / 0.001 for name in ("lon", "lat")
    )
    # z ~ U(0, 1), e ~ U(0, z), d ~ U(-e, e): E|d| = 1/8, E d^2 = 1/27; e is shared by the axes,
    # so E|dx dy| = E e^2 / 4 = 1/36, which independent axes would not have (1/64).
    assert np.abs(dx).mean() == pytest.approx(1 / 8, rel=0.02)
    assert np.abs(dy).mean() == pytest.approx(1 / 8, rel=0.02)
    assert (dx**2).mean() == pytest.approx(1 / 27, rel=0.03)
    assert np.abs(dx * dy).mean() == pytest.approx(1 / 36, rel=0.03)
    assert abs(dx.mean()) < 0.005
    assert abs((dx * dy).mean()) < 0.001


@pytest.mark.parametrize("clusters", [1, 2, 700, 10_000])
def test_centres_of_small_sets_keep_apart_on_both_axes(clusters):
    centres = PaperData(points=clusters, clusters=clusters, seed=1).centres
    assert centres.shape == (clusters, 2)
    for axis, bound in ((0, 180), (1, 90)):
        assert np.all(np.diff(np.sort(centres[:, axis])) >= 0.005)
        assert np.abs(centres[:, axis]).max() <= bound - 0.001


def test_centres_of_large_sets_are_distinct_multiples_of_a_tenth():
    data = PaperData(points=20_000, clusters=10_001, seed=1)
    tenths = data.centres * 10
    assert np.array_equal(tenths, np.rint(tenths))
    assert len(np.unique(tenths, axis=0)) == 10_001
    assert not np.any(np.all(tenths == 0, axis=1))


def test_lattice_leaves_out_null_island_alone():
    every = lattice_centres((2 * LATTICE_LON + 1) * (2 * LATTICE_LAT + 1) - 1, _FirstCells())
    assert not np.any(np.all(every == 0, axis=1))
    assert len(np.unique(every[:, 0] * 10_000 + every[:, 1])) == len(every)
    assert np.abs(every).max(axis=0).tolist() == [179.9, 89.9]


class _FirstCells:
    def choice(self, _total, size, replace):
        assert not replace
        return np.arange(size)


def test_too_many_clusters_are_refused():
    with pytest.raises(UsageError, match="--clusters 7000000 is more"):
        PaperData(points=7_000_000, clusters=7_000_000, seed=1)


# Writing


@BOTH
def test_same_bytes_for_any_threads_and_same_rows_for_any_files(tmp_path, profile, monkeypatch):
    monkeypatch.setattr("gridcli.synth.paper.BLOCK_ROWS", 1000)
    settings = {"points": 5000, "clusters": 20, "seed": 3}
    one = generate(tmp_path / "one", profile, **settings, files=3, threads=1)
    generate(tmp_path / "two", profile, **settings, files=3, threads=3)
    generate(tmp_path / "three", profile, **settings, files=1)
    generate(tmp_path / "other", profile, **{**settings, "seed": 4})
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert rows(tmp_path / "one").equals(rows(tmp_path / "three"))
    assert truth(tmp_path / "one").equals(truth(tmp_path / "three"))
    assert not rows(tmp_path / "one").equals(rows(tmp_path / "other"))
    assert [path.name for path in one.files] == [f"part-0000{i}.parquet" for i in range(3)]
    assert one.points == rows(tmp_path / "one").num_rows == 5000


@BOTH
@pytest.mark.parametrize("file_format", ["csv", "csv.gz"])
def test_csv_holds_the_same_rows(tmp_path, profile, file_format):
    settings = {"points": 3000, "clusters": 10, "files": 2}
    generate(tmp_path / "parquet", profile, **settings)
    done = generate(tmp_path / "csv", profile, **settings, file_format=file_format)
    expected = rows(tmp_path / "parquet")
    read = pa.concat_tables(pyarrow.csv.read_csv(path) for path in done.files)
    assert read.column_names == expected.column_names
    for name in ("lon", "lat"):
        assert read[name].to_pylist() == expected[name].to_pylist()


@BOTH
def test_truth_is_no_input(tmp_path, profile, gridcli):
    folder, hubs = tmp_path / "trips", tmp_path / "hubs.csv"
    settings = ["--points", "2k", "--clusters", "10", "-q"]
    assert gridcli("generate", "-o", folder, "--profile", profile, *settings).code == 0
    outcome = gridcli("raster", folder, "-o", hubs)
    assert outcome.code == 0
    assert "2,000" in next(line for line in outcome.err.splitlines() if "rows read" in line)


def test_a_folder_in_use_needs_overwrite_and_keeps_foreign_files(tmp_path):
    settings = {"points": 100, "clusters": 2}
    generate(tmp_path / "d", **settings, files=3)
    with pytest.raises(OutputError, match=r"not empty.*--overwrite"):
        generate(tmp_path / "d", **settings)
    generate(tmp_path / "d", **settings, files=1, overwrite=True)
    assert sorted(digests(tmp_path / "d")) == ["_truth/truth.parquet", "part-00000.parquet"]
    (tmp_path / "d" / "notes.txt").write_text("mine", encoding="ascii")
    with pytest.raises(OutputError, match=r"holds notes\.txt"):
        generate(tmp_path / "d", **settings, overwrite=True)
    with pytest.raises(OutputError, match="not a folder"):
        generate(tmp_path / "d" / "notes.txt", **settings, overwrite=True)
    with pytest.raises(OutputError, match="Cannot write"):
        generate(tmp_path / "d" / "notes.txt" / "below", **settings)
    (tmp_path / "empty").mkdir()
    generate(tmp_path / "empty", **settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "empty"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_run_leaves_the_folder_as_it_was(tmp_path, monkeypatch, error):
    generate(tmp_path / "d", points=100, clusters=2)
    before = digests(tmp_path)

    def fail(self, index, parts):
        yield from part(self, index, parts)
        raise error

    part = PaperData.part
    monkeypatch.setattr(PaperData, "part", fail)
    with pytest.raises((OutputError, KeyboardInterrupt), match=r"No space left|^$"):
        generate(tmp_path / "d", points=1000, clusters=2, files=4, overwrite=True, threads=2)
    assert digests(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / ".d.partial").mkdir()
    (tmp_path / ".d.partial" / "part-00000.parquet").write_bytes(b"half")
    generate(tmp_path / "d", points=100, clusters=2)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_progress_counts_every_row(tmp_path):
    seen = []
    generate(tmp_path / "d", points=1000, clusters=2, files=3, progress=seen.append)
    assert sum(seen) == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--points", "10.5"], "not a whole number"),
        (["--points", "0"], "--points must be at least 1"),
        (["--points", "10", "--clusters", "11"], "between 1 and --points"),
        (["--points", "10", "--files", "11"], "--files 11 must be between 1 and 10"),
        (["--points", "10", "--vehicles", "2"], "--profile fleet"),
        (
            ["--points", "9", "--clusters", "9", "--profile", "fleet", "--vehicles", "10"],
            "vehicles",
        ),
        (["--points", "9", "--profile", "boats"], "boats"),
    ],
)
def test_wrong_usage(tmp_path, gridcli, options, message):
    outcome = gridcli("generate", "-o", tmp_path / "d", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "d").exists()


def test_summary_says_what_was_written(tmp_path, gridcli):
    outcome = gridcli("generate", "-o", tmp_path / "d", "--points", "1k", "--clusters", "4")
    assert outcome.code == 0
    assert "1,000 of 4 clusters" in outcome.err
    assert gridcli("generate", "-o", tmp_path / "d", "--points", "1k").code == 5
    quiet = gridcli("generate", "-o", tmp_path / "d", "--points", "1k", "--overwrite", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


# The sample data


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("trips", {"points": 60_000, "clusters": 150, "vehicles": 20, "files": 2}),
        (
            "trips-csv",
            {"points": 15_000, "clusters": 40, "vehicles": 6, "seed": 2, "file_format": "csv.gz"},
        ),
    ],
)
def test_sample_data_is_what_its_readme_says(tmp_path, name, settings):
    generate(tmp_path / name, "fleet", **settings)
    sample = REPOSITORY / "sample_data" / name
    assert sorted(digests(sample)) == sorted(digests(tmp_path / name))
    assert (
        truth(sample)
        .drop(["lon", "lat", "radius_m"])
        .equals(truth(tmp_path / name).drop(["lon", "lat", "radius_m"]))
    )
    for path in sorted(sample.glob("part-*")):
        read = pq.read_table if path.suffix == ".parquet" else pyarrow.csv.read_csv
        old, new = read(path), read(tmp_path / name / path.name)
        for column in ("vehicle_id", "time"):
            assert old[column].equals(new[column])
        # Sines and logarithms of another C library may differ in the last digit.
        for column in ("lat", "lon"):
            assert np.allclose(old[column], new[column], rtol=0, atol=1.5e-6)


def test_blocks_bound_the_memory():
    data = PaperData(points=3 * parts.BLOCK_ROWS, clusters=10, seed=1)
    assert max(table.num_rows for table in data.part(0, 1)) == parts.BLOCK_ROWS
