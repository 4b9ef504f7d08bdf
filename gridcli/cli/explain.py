"""`gridcli explain`: why a place is in a hub or in none, and what would change that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
from click.core import ParameterSource

from gridcli.cli.options import cluster_options, resource_options
from gridcli.cli.summary import json_bytes
from gridcli.errors import GridcliError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.cli.choices import ClusterChoice
    from gridcli.cli.resources import ResourceChoice
    from gridcli.runtime.signals import StopFlag

KINDS = {"state": "gridcli.cli.explain_state", "tiles": "gridcli.cli.explain_tiles"}
"""Module of each kind of source; its function `answer` makes an `Answer` of a `Request`."""
LARGEST_DELTA = 1000
CLUSTERING = ("tau", "mu", "delta", "metric")


@dataclass(frozen=True)
class Request:
    """What the user asks.

    Attributes
    ----------
    source : str
    at : tuple of float or None
        Latitude and longitude, or x and y: in the order in which they are written.
    hub : str or None
        A hub's key; either this or a place is given.
    clustering : ClusterChoice
    given : frozenset of str
        Names of those parameters of `clustering` that are not defaults.
    resources : ResourceChoice
    stop : StopFlag
    """

    source: str
    at: tuple[float, float] | None
    hub: str | None
    clustering: ClusterChoice
    given: frozenset[str]
    resources: ResourceChoice
    stop: StopFlag


class Answer(Protocol):
    """What is printed."""

    def record(self) -> dict[str, Any]:
        """Return the answer as ``--json`` prints it."""

    def show(self) -> None:
        """Print the answer on standard output."""


class Place(click.ParamType[tuple[float, float]]):
    """Two coordinates in the order in which they are written."""

    name = "LAT,LON"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Return the two numbers; whether they make sense depends on the grid."""
        if isinstance(value, tuple):
            return value
        try:
            first, second = (float(part) for part in str(value).split(","))
        except ValueError:
            first = second = math.nan
        if not (math.isfinite(first) and math.isfinite(second)):
            self.fail(f"{value!r} is not two numbers LAT,LON, e.g. 57.7001,11.9002.", param, ctx)
        return first, second


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "--at",
    type=Place(),
    help="A place: latitude, then longitude, in degrees; X,Y on a planar grid.",
)
@click.option(
    "--hub",
    metavar="KEY",
    help="A hub: what holds it together, and what is next to it. KEY is its hub_key, or in a file "
    "of tiles its hub_id.",
)
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, no text.")
@resource_options
@click.pass_context
def explain(
    context: click.Context,
    source: str,
    at: tuple[float, float] | None,
    hub: str | None,
    clustering: ClusterChoice,
    resources: ResourceChoice,
    *,
    as_json: bool,
) -> None:
    """Say why a place is in a hub or in none, and the smallest change that would alter it.

    With --hub: what holds a hub together, and what would make it one with the next.

    SOURCE is a file of tiles that --tiles wrote, which holds the settings that it was made with;
    or a state that gridcli contract or merge wrote, with --tau, --mu, --delta and --metric. A
    state knows every tile, a file of tiles the significant ones alone.

    \b
    Example:
      gridcli explain day.state.parquet --at 51.1914,10.0255 --tau 10
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if (at is None) == (hub is None):
        raise UsageError("explain needs one of --at LAT,LON and --hub KEY.")
    if clustering.delta > LARGEST_DELTA:
        raise UsageError(
            f"explain takes a --delta up to {LARGEST_DELTA:,}: it looks at every tile within it."
        )
    request = Request(
        source, at, hub, clustering, frozenset(_given(context)), resources, context.obj
    )
    answer: Answer = import_module(KINDS[_kind_of(source)]).answer(request)
    if as_json:
        click.echo(json_bytes(answer.record()), nl=False)
    else:
        answer.show()


def _given(context: click.Context) -> Iterator[str]:
    """Yield the parameters of RASTER that the user has set."""
    for name in CLUSTERING:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            yield name


def _kind_of(source: str) -> str:
    """Return which kind of source a file is; whatever is none is refused by the one it gets."""
    from gridcli.points.arrow import READ_ERRORS
    from gridcli.raster.tilesformats import COLUMNS, open_contents

    if source == "-" or not Path(source).exists():  # a stream, a pattern, or missing
        return "state"
    try:
        names = set(open_contents(source).columns or ())
    except (GridcliError, *READ_ERRORS):
        return "tiles"
    return "state" if names >= set(COLUMNS[:3]) and not names & set(COLUMNS[3:]) else "tiles"
