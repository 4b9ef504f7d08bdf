"""A state as the source of `gridcli explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridcli.cli.explain_hub import HubAnswer
from gridcli.cli.explain_place import PlaceAnswer, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.cli.explain import Request
    from gridcli.grid.grid import Grid
    from gridcli.states.info import Rules


def answer(request: Request) -> PlaceAnswer | HubAnswer:
    """Explain a place or a hub of a state.

    Raises
    ------
    UsageError
        There is no such place or hub, or the state is of more than two dimensions.
    InputError
        The state is missing or corrupt.
    ResourceError
        What hangs together there does not fit.
    """
    from gridcli.raster.explain.state import explain_hub_in_state, explain_in_state
    from gridcli.raster.run import ClusterOptions
    from gridcli.states.sources import opened_state, require_plane

    chosen, stop = request.clustering, request.stop
    options = ClusterOptions(chosen.tau, chosen.mu, chosen.delta, chosen.metric)
    with (
        request.resources.workspace() as space,
        opened_state(request.source, temp_dir=request.resources.temp_dir) as state,
    ):
        require_plane(state, "gridcli explain")
        grid = state.grid
        notes = tuple(_notes(grid, state.info.rules))
        if request.at is None:
            hub = explain_hub_in_state(state, grid, request.hub or "", options, stop=stop)
            return HubAnswer("state", state.name, hub, notes[1:])
        place = place_of(request.at, grid)
        found = explain_in_state(state, grid, place, options, space, stop=stop)
        return PlaceAnswer("state", state.name, found, notes)


def _notes(grid: Grid, rules: Rules) -> Iterator[str]:
    """Yield what is to be known about a state."""
    if grid.rows_differ:
        yield "Tiles in metres cannot be joined: for others, contract the points again."
    else:
        size = "smaller --tile-size" if grid.name.startswith("t") else "larger --prec"
        yield (
            "A state can tell of coarser tiles only. For finer ones, contract the points again "
            f"with a {size}."
        )
    kept = [f'--where "{each}"' for each in rules.where]
    if rules.bbox is not None:
        kept.append("--bbox " + ",".join(f"{side:g}" for side in rules.bbox))
    if kept:
        yield f"This state counts only the points of {' '.join(kept)}."
