"""Values of options, their environment variables, and combinations that are refused."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any, get_args

import click
import pytest

from gridcli.cli.correction import corrected_command
from gridcli.cli.main import COMMANDS, cli
from gridcli.cli.options import INPUT_FORMATS
from gridcli.cli.resources import ResourceChoice
from gridcli.cli.values import BadLimit, Box, Count, Crs, Lines, Names, Scale, Size
from gridcli.points.plan import Format
from gridcli.runtime.capacity import default_limit_bytes
from gridcli.runtime.threads import usable_cores


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Count(), "250000", 250_000),
        (Count(), "50M", 50_000_000),
        (Count(), "100k", 100_000),
        (Count(), "1.5k", 1500),
        (Count(), "2G", 2 * 10**9),
        (Size(), "600000000", 600_000_000),
        (Size(), "500M", 500 * 10**6),
        (Size(), "500 MB", 500 * 10**6),
        (Size(), "1.5G", 1_500_000_000),
        (Size(), "2GiB", 2 << 30),
        (Size(), "2gi", 2 << 30),
        (Size(), "1.5KiB", 1536),
        (Size(), "1TiB", 1 << 40),
        (Scale(), "1e-7", Fraction(1, 10**7)),
        (Scale(), "0.1", Fraction(1, 10)),
        (Scale(), "1/3600000", Fraction(1, 3_600_000)),
        (Box(), "11.5,57.6,12.2,57.8", (11.5, 57.6, 12.2, 57.8)),
        (Box(), "170, -10, -170, 10", (170.0, -10.0, -170.0, 10.0)),
        (BadLimit(), "1%", Fraction(1, 100)),
        (BadLimit(), "0.1 %", Fraction(1, 1000)),
        (BadLimit(), "1000", 1000),
        (BadLimit(), "10k", 10_000),
        (Crs(), "epsg:3857", "EPSG:3857"),
        (Names(), "lon, lat,,speed", ("lon", "lat", "", "speed")),
    ],
)
def test_a_value_is_read_exactly(kind: click.ParamType[Any], text: str, value: object) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Count(), "many"),
        (Count(), "1.5"),
        (Count(), "-3"),
        (Count(), "5X"),
        (Size(), "much"),
        (Size(), "-1G"),
        (Size(), "2iB"),
        (Size(), "nan"),
        (Size(), "9000000000T"),
        (Scale(), "0"),
        (Scale(), "-1e-7"),
        (Scale(), "nan"),
        (Scale(), "1/0"),
        (Scale(), "1e-999999999"),
        (Box(), "1,2,3"),
        (Box(), "1,2,3,x"),
        (Box(), "1,2,3,inf"),
        (Box(), "1,5,3,4"),
        (BadLimit(), "101%"),
        (BadLimit(), "%"),
        (BadLimit(), "-1"),
        (BadLimit(), "1e999999999%"),
        (Crs(), "4326"),
        (Crs(), "EPSG:utm"),
        (Names(), ","),
        (Names(), "lon,lon"),
    ],
)
def test_a_wrong_value_is_refused(kind: click.ParamType[Any], text: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert repr(text)[:4] in caught.value.format_message()


def test_a_repeatable_variable_holds_one_value_a_line() -> None:
    text = "speed < 5\n\n  type in ('bus', 'tram')\n"
    assert Lines().split_envvar_value(text) == ["speed < 5", "type in ('bus', 'tram')"]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_has_a_variable_of_its_own_name(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = [p for p in command.params if isinstance(p, click.Option)]
    for option in options:
        longest = max(option.opts, key=len)
        expected = f"GRIDCLI_{name}_{longest[2:]}".upper().replace("-", "_")
        assert option.envvar == expected


def test_a_variable_sets_an_option_and_the_command_line_wins(monkeypatch, gridcli) -> None:
    monkeypatch.setenv("GRIDCLI_RASTER_TAU", "0")
    refused = gridcli("raster", "-", "-o", "x.geojson")
    assert refused.code == 2
    assert "--tau must be at least 1" in refused.err
    accepted = gridcli("raster", "no-such-file.csv", "-o", "x.geojson", "--tau", "3")
    assert accepted.code == 3


USAGE = {
    "planar-without-size": (["--planar"], "--tile-size"),
    "both-sizes": (["--planar", "--prec", "2", "--tile-size", "25"], "--prec and --tile-size"),
    "tile-size-not-planar": (["--tile-size", "25"], "--planar"),
    "tile-size-negative": (["--planar", "--tile-size", "-1"], "--tile-size"),
    "lat-alone": (["--lat", "a"], "--lon"),
    "lon-alone": (["--lon", "a"], "--lat"),
    "x-alone": (["--planar", "--prec", "1", "--x", "a"], "--y"),
    "x-not-planar": (["--x", "a", "--y", "b"], "--planar"),
    "lat-planar": (["--planar", "--prec", "1", "--lat", "a", "--lon", "b"], "--x and --y"),
    "null-island-planar": (["--planar", "--prec", "1", "--keep-null-island"], "--keep-null"),
    "geojson-planar": (["--planar", "--prec", "1"], "GeoJSON"),
    "crs-not-planar": (["--crs", "EPSG:3857"], "--planar"),
    "prec-too-fine": (["--prec", "9"], "too fine"),
    "prec-word": (["--prec", "fine"], "not a number"),
    "tau-0": (["--tau", "0"], "--tau"),
    "mu-0": (["--mu", "0"], "--mu"),
    "delta-0": (["--delta", "0"], "--delta"),
    "metric": (["--metric", "euclid"], "chebyshev"),
    "bbox-range": (["--bbox", "1,2,3,95"], "--bbox"),
    "stdout-twice": (
        ["--tiles", "-", "--clusters", "-", "--format", "csv"],
        "standard output",
    ),
    "same-file": (["--tiles", "./x.geojson"], "one file"),
    "format-unknown": (["--tiles", "tiles.xlsx"], "tiles.xlsx"),
    "threads-0": (["--threads", "0"], "threads"),
    "max-memory-small": (["--max-memory", "402.6M"], "402.6M are too little to work with"),
    "max-memory-advice": (["--max-memory", "383MiB"], "at least 403M (384MiB)"),
    "max-memory-tiny": (["--max-memory", "12"], "12 bytes are too little"),
    "max-memory-unit": (["--max-memory", "200MiB"], "200MiB are too little"),
    "max-memory-word": (["--max-memory", "some"], "size"),
    "temp-dir": (["--temp-dir", "no/such/folder"], "--temp-dir"),
    "where": (["--where", "speed << 5"], "--where"),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_wrong_combination_is_refused_before_reading(
    case, gridcli, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options, phrase = USAGE[case]
    outcome = gridcli("raster", "missing.csv", "-o", "x.geojson", *options)
    assert outcome.code == 2, outcome.err
    assert phrase in outcome.err
    outcome.assert_one_paragraph()
    assert list(tmp_path.iterdir()) == []


def test_a_stdout_target_without_format_is_refused(gridcli) -> None:
    outcome = gridcli("raster", "missing.csv", "-o", "-")
    assert outcome.code == 2
    assert "--format" in outcome.err


def test_the_input_formats_are_those_of_the_readers() -> None:
    assert get_args(Format) == INPUT_FORMATS


@pytest.mark.parametrize(
    ("suggestion", "expected"),
    [
        (
            "--lat lon --lon lat",
            "gridcli raster --lat lon --lon lat 'my trips.csv' --prec 3 -o hubs.geojson",
        ),
        (
            "--planar --x a --y b",
            "gridcli raster --planar --x a --y b --tile-size SIZE 'my trips.csv' -o hubs.geojson",
        ),
    ],
)
def test_the_corrected_command_keeps_all_other_options(suggestion, expected) -> None:
    given = ["raster", "--lat", "lat", "my trips.csv", "--lon=lon", "--prec", "3"]
    assert corrected_command([*given, "-o", "hubs.geojson"], suggestion) == expected


def test_what_follows_two_dashes_is_kept() -> None:
    given = ["raster", "-o", "a.csv", "--", "--lat", "b.csv"]
    assert corrected_command(given, "--scale 1e-7") == (
        "gridcli raster --scale 1e-7 -o a.csv -- --lat b.csv"
    )


def test_a_temporary_folder_that_cannot_be_written_is_refused(
    gridcli, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    outcome = gridcli("inspect", "missing.csv", "--temp-dir", tmp_path)
    assert outcome.code == 2
    assert "cannot be written" in outcome.err


def test_resources_have_defaults() -> None:
    chosen = ResourceChoice(threads=None, max_memory=None, temp_dir=None)
    assert chosen.n_threads == usable_cores()
    assert chosen.limit_bytes == default_limit_bytes()
    chosen = ResourceChoice(threads=3, max_memory=1 << 30, temp_dir=None)
    assert (chosen.n_threads, chosen.limit_bytes) == (3, 1 << 30)
