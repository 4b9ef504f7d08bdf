"""A file of tiles as the source of `gridcli explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridcli.cli.explain_hub import HubAnswer
from gridcli.cli.explain_place import PlaceAnswer, place_of
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.cli.explain import Request
    from gridcli.raster.run import ClusterOptions
    from gridcli.raster.tilesfile import TilesFile

NEEDED = ("tau", "mu")
"""What must be given where a file has no record; for the others there are usual values."""


def answer(request: Request) -> PlaceAnswer | HubAnswer:
    """Explain a place or a hub of a file of tiles.

    Raises
    ------
    UsageError
        There is no such place or hub, the file was made with other parameters than those given,
        or it is of another kind.
    InputError
        The file is missing, no file of tiles, or corrupt.
    """
    from gridcli.raster.explain.tilesfile import explain_hub_in_tiles, explain_in_tiles
    from gridcli.raster.tilesfile import open_tiles

    file = open_tiles(request.source)
    if file.grid is None:
        raise UsageError(
            f"{file.path} holds no hub, and nothing that tells its grid. Write the tiles in a "
            "format that carries a record of the run, such as .parquet or .geojson."
        )
    options = _options(request, file)
    notes = tuple(_notes(file))
    of_file, stop = (file, file.grid), request.stop
    with request.resources.workspace() as space:
        if request.at is None:
            hub = explain_hub_in_tiles(*of_file, request.hub or "", options, space, stop=stop)
            return HubAnswer("tiles", file.path, hub, notes)
        place = place_of(request.at, file.grid)
        found = explain_in_tiles(*of_file, place, options, space, stop=stop)
        return PlaceAnswer("tiles", file.path, found, notes)


def _notes(file: TilesFile) -> Iterator[str]:
    """Yield what is to be known about a file of tiles."""
    from gridcli.raster.explain.tilesfile import RELAXATIONS

    yield (
        "A file of tiles holds those of the hubs and other significant ones, so it can tell "
        "neither of a smaller tau nor of coarser tiles. A state can: gridcli contract INPUTS -o "
        "day.state.parquet, then gridcli explain day.state.parquet with the same options."
    )
    relaxed = [kind for kind in RELAXATIONS if file.record.get(kind) is not None]
    if relaxed:
        made = " ".join(f"--{kind} {file.record[kind]}" for kind in relaxed)
        yield (
            f"This file was made with {made}, by which tiles below tau count: so it cannot tell "
            "of a larger tau either, and a state is explained without it."
        )


def _options(request: Request, file: TilesFile) -> ClusterOptions:
    """Return the parameters that the file was made with."""
    from gridcli.raster.run import ClusterOptions

    given = {name: getattr(request.clustering, name) for name in request.given}
    if not file.record:
        missing = [f"--{name}" for name in NEEDED if name not in given]
        if missing:
            raise UsageError(
                f"{file.path} carries no record of the run that made it: give "
                f"{' and '.join(missing)} as they were then (and --delta and --metric, where they "
                "were not the usual ones)."
            )
        return ClusterOptions(**given)
    made = {name: file.record.get(name) for name in vars(ClusterOptions())}
    for name, value in given.items():
        if value != made[name]:
            raise UsageError(
                f"{file.path} was made with --{name} {made[name]}, and holds no tiles that would "
                f"tell of --{name} {value}. Leave it out; or make a state with gridcli contract, "
                "and explain that."
            )
    return ClusterOptions(
        tau=int(file.record["tau"]),
        mu=int(file.record["mu"]),
        delta=int(file.record["delta"]),
        metric=str(file.record["metric"]),
    )
