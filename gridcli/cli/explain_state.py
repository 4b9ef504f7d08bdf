"""A state as the source of `gridcli explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridcli.cli.explain_place import Answer, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.cli.explain import Request
    from gridcli.grid.grid import Grid
    from gridcli.states.info import Rules


def answer(request: Request) -> Answer:
    """Explain a place of a state.

    Raises
    ------
    UsageError
        There is no such place.
    InputError
        The state is missing or corrupt.
    """
    from gridcli.raster.explain.state import explain_in_state
    from gridcli.raster.run import ClusterOptions
    from gridcli.states.sources import opened_state, require_plane

    chosen = request.clustering
    with (
        request.resources.workspace() as space,
        opened_state(request.source, temp_dir=request.resources.temp_dir) as state,
    ):
        require_plane(state, "gridcli explain")
        found = explain_in_state(
            state,
            state.grid,
            place_of(request.at, state.grid),
            ClusterOptions(chosen.tau, chosen.mu, chosen.delta, chosen.metric),
            space,
            stop=request.stop,
        )
        notes = tuple(_notes(state.grid, state.info.rules))
        return Answer("state", state.name, found, notes)


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
