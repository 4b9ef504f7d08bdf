"""``gridcli generate``: synthetic GPS data with the truth behind it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import click

SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


class Count(click.ParamType[int]):
    """A whole number that may end in k, M or G (thousands, millions, thousand millions)."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return ``50M`` as 50000000, ``1.5k`` as 1500."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)([kKmMgG]?)", value.strip())
        number = Decimal(match[1].replace("_", "")) * SUFFIXES[match[2].upper()] if match else None
        if number is None or number != number.to_integral_value():
            self.fail(f"{value!r} is not a whole number such as 1000, 100k or 50M.", param, ctx)
        return int(number)


COUNT = Count()


@click.command()
@click.option(
    "-o", "--output", "out_dir", required=True, metavar="FOLDER", help="Folder to write to."
)
@click.option("--points", type=COUNT, required=True, help="Rows in all: 5000, 100k, 50M, 1G.")
@click.option(
    "--clusters", type=COUNT, help="Clusters or hubs.  [default: one for every 500 points]"
)
@click.option(
    "--profile",
    type=click.Choice(["paper", "fleet"]),
    default="paper",
    show_default=True,
    help="paper: the RASTER paper's point clouds, shuffled. fleet: vehicles on roads.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--files", type=COUNT, help="Part files.  [default: one for every 10 million points]")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv", "csv.gz"]),
    default="parquet",
    show_default=True,
)
@click.option(
    "--vehicles",
    type=COUNT,
    help="Vehicles of the fleet profile.  [default: one for every 25 000 points]",
)
@click.option("--threads", type=click.IntRange(min=1), help="[default: cores of this process]")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run left in FOLDER.")
@click.option("-q", "--quiet", is_flag=True, help="No summary.")
def generate(threads: int | None, quiet: bool, **options: Any) -> None:
    """Write synthetic GPS data into a folder, with the truth behind it.

    FOLDER gets part files and _truth/truth.parquet (centres, spread, type), which gridcli skips
    when FOLDER is an input. The same options give the same bytes on any number of threads.

    \b
    Example:
      gridcli generate -o trips/ --points 1M --clusters 2000 --profile fleet
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from gridcli.runtime.threads import usable_cores
    from gridcli.synth.write import generate as write

    done = write(threads=threads or usable_cores(), **options)
    if not quiet:
        click.echo(
            f"{done.points:,} points of {done.clusters:,} clusters in {len(done.files)} files "
            f"({done.n_bytes / 1e6:,.1f} MB) in {options['out_dir']}; truth: {done.truth}",
            err=True,
        )
