"""`gridcli generate`: synthetic GPS data with the truth behind it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.options import screen_options, threads_option
from gridcli.cli.summary import print_table
from gridcli.cli.values import Count
from gridcli.runtime.threads import usable_cores

if TYPE_CHECKING:
    from gridcli.cli.targets import ScreenChoice


@click.command()
@click.option(
    "-o", "--output", "out_dir", required=True, metavar="FOLDER", help="Folder to write to."
)
@click.option("--points", type=Count(), required=True, help="Rows in all: 5000, 100k, 50M, 1G.")
@click.option(
    "--clusters", type=Count(), help="Clusters or hubs. [default: one for every 500 points]"
)
@click.option(
    "--profile",
    type=click.Choice(["paper", "fleet"]),
    default="paper",
    show_default=True,
    help="paper: the RASTER paper's point clouds, shuffled; fleet: vehicles on roads.",
)
@click.option(
    "--seed", type=Count(), default=1, show_default=True, help="Another seed, other data."
)
@click.option("--files", type=Count(), help="Part files. [default: one for every 10M points]")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv", "csv.gz"]),
    default="parquet",
    show_default=True,
    help="Format of the part files.",
)
@click.option(
    "--vehicles",
    type=Count(),
    help="Vehicles of the fleet profile. [default: one for every 25k points]",
)
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run left in FOLDER.")
@threads_option
@screen_options
def generate(threads: int | None, screen: ScreenChoice, **options: Any) -> None:
    """Write synthetic GPS data into a folder, with the truth behind it.

    FOLDER gets part files and _truth/truth.parquet (centres, spread, type), which gridcli skips
    when FOLDER is an input. The same options give the same bytes on any number of threads.

    \b
    Example:
      gridcli generate -o trips/ --points 1M --clusters 2k --profile fleet
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    from gridcli.synth.write import generate as write

    before = time.perf_counter()
    with closing(screen.make_progress()) as progress:
        progress.start(None, "generate")
        done = write(
            **options,
            threads=threads or usable_cores(),
            progress=lambda rows: progress.advance(0, rows),
        )
    if not screen.quiet:
        seconds = time.perf_counter() - before
        print_table(
            [
                ("points", f"{done.points:,} of {done.clusters:,} clusters"),
                (
                    "files",
                    f"{len(done.files):,} in {options['out_dir']}, {done.n_bytes / 1e6:,.1f} MB",
                ),
                ("truth", str(done.truth)),
                ("seconds", f"{seconds:.2f}"),
            ]
        )
