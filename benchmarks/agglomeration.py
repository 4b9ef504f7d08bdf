"""Agglomeration of significant tiles: gridcli against scipy.sparse.csgraph on the same edges.

Both start from the same sorted tiles and end with a component number per tile. scipy's time
includes building the edges, vectorised: each tile's neighbour to the east is the next tile, its
three to the north follow one binary search; then a sparse matrix. The partitions are compared
before anything is timed, and runs alternate, so that whatever else the machine does falls on both.

    python benchmarks/agglomeration.py [--tiles 2000000] [--runs 7] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridcli.grid.grid import Grid
from gridcli.grid.keys import pack, unpack
from gridcli.raster.agglomerate import agglomerate
from gridcli.raster.cluster import cluster
from gridcli.runtime.threads import usable_cores
from gridcli.tiles.tiles import Tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt


def significant_tiles(n_tiles: int, seed: int = 7) -> Tiles:
    """Return `n_tiles` tiles at precision 4 over Europe: two thirds in blobs, the rest on roads."""
    random = np.random.default_rng(seed)
    grid = Grid.degrees(4)
    keys = np.empty(0, np.uint64)
    while len(keys) < n_tiles:
        x, y = zip(_blobs(random, n_tiles), _roads(random, n_tiles), strict=True)
        keys = np.union1d(keys, pack(np.concatenate(x), np.concatenate(y)))
    x, y = unpack(np.sort(random.choice(keys, n_tiles, replace=False, shuffle=False)))
    return Tiles(grid, x, y, random.zipf(1.6, n_tiles).clip(1, 10_000) + 4)


def _blobs(random: np.random.Generator, n_tiles: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Hubs of heavy-tailed size, near towns."""
    towns = random.uniform((-100_000, 360_000), (300_000, 600_000), (500, 2))
    sizes = random.zipf(1.5, n_tiles // 8).clip(1, 400)
    centres = towns[random.integers(0, 500, len(sizes))] + random.normal(0, 1500, (len(sizes), 2))
    spread = np.repeat(0.4 * np.sqrt(sizes), sizes)[:, None]
    tiles = np.repeat(centres, sizes, axis=0)
    tiles = np.rint(tiles + spread * random.normal(size=tiles.shape)).astype(np.int64)[:n_tiles]
    return tiles[:, 0], tiles[:, 1]


def _roads(random: np.random.Generator, n_tiles: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Winding roads with gaps."""
    length = 2000
    roads = max(1, n_tiles // 3 // length)
    start = random.uniform((-100_000, 360_000), (300_000, 600_000), (roads, 1, 2))
    heading = random.uniform(0, 2 * np.pi, (roads, 1))
    heading = heading + np.cumsum(random.normal(0, 0.03, (roads, length)), axis=1)
    path = start + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=2), axis=1)
    tiles = np.rint(path[random.random((roads, length)) < 0.9]).astype(np.int64)
    return tiles[:, 0], tiles[:, 1]


def scipy_components(tiles: Tiles) -> tuple[int, npt.NDArray[np.int32]]:
    """Label components with scipy, as fast as we know how; the tiles lie far from 180 degrees."""
    keys = pack(tiles.x, tiles.y)
    is_east = keys[1:] == keys[:-1] + np.uint64(1)
    source = np.flatnonzero(is_east).astype(np.int32)
    sources, targets = [source], [source + 1]
    north_west = keys + np.uint64((1 << 32) - 1)
    first = np.searchsorted(keys, north_west)
    for place in range(3):  # of three adjacent columns, at most three tiles
        target = np.minimum(first + place, len(keys) - 1)
        source = np.flatnonzero(keys[target] - north_west <= 2)
        sources.append(source.astype(np.int32))
        targets.append(target[source].astype(np.int32))
    pairs = (np.concatenate(sources), np.concatenate(targets))
    edges = (np.ones(len(pairs[0])), pairs)
    graph = coo_array(edges, shape=(len(keys), len(keys))).tocsr()
    n_components, label = connected_components(graph, directed=False)
    return n_components, label


def _assert_same_partition(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
    pairs = len(np.unique(a.astype(np.int64) << 32 | b))
    if not pairs == a.max() + 1 == b.max() + 1:
        raise AssertionError("gridcli and scipy find different components")


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _row(name: str, values: list[float], unit: str) -> str:
    spread = f"{min(values):.3f} to {max(values):.3f}"
    return f"| {name} | {statistics.median(values):.3f}{unit} | {spread} |"


def main() -> None:
    """Compare, time, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=usable_cores())
    options = parser.parse_args()
    tiles = significant_tiles(options.tiles)

    def ours() -> Any:
        return agglomerate(tiles, threads=options.threads)

    components = ours()
    n_scipy, label = scipy_components(tiles)
    _assert_same_partition(components.label, label)
    hubs = cluster(tiles, threads=options.threads)
    print(
        f"{len(tiles)} significant tiles in {len(np.unique(tiles.y))} rows, {n_scipy} components, "
        f"{len(hubs)} hubs of 4 or more tiles; {options.threads} threads, {options.runs} runs\n"
    )
    times: dict[str, list[float]] = {"gridcli": [], "scipy": [], "cluster": []}
    for _ in range(options.runs):
        times["gridcli"].append(_seconds(ours))
        times["scipy"].append(_seconds(lambda: scipy_components(tiles)))
        times["cluster"].append(_seconds(lambda: cluster(tiles, threads=options.threads)))
    ratios = [b / a for a, b in zip(times["gridcli"], times["scipy"], strict=True)]
    print("| | median | spread |\n|---|---|---|")
    print(_row("gridcli agglomerate", times["gridcli"], " s"))
    print(_row("scipy, edges and components", times["scipy"], " s"))
    print(_row("scipy / gridcli, per pair of runs", ratios, ""))
    print(_row("gridcli cluster: agglomerate, and describe the hubs", times["cluster"], " s"))


if __name__ == "__main__":
    main()
