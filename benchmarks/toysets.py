"""scikit-learn's six toy sets, as in the RASTER paper's Appendix A; writes docs/toy-sets.md.

Runs `gridcli raster --planar` on each set as a user would, at precision 0.90 and 0.73 with tau 5
and mu 5, for several numbers of points and seeds, and compares the hubs with the true clusters.

Usage: python -m benchmarks.toysets [PAGE [FIGURE]]
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn import datasets
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from benchmarks.drawing import GREY, PALETTE, Drawing, Frame
from benchmarks.paper_table import gridcli

PRECISIONS = ("0.90", "0.73")
TAU, MU = 5, 5
SETTINGS = ((500, TAU), (1_500, TAU), (10_000, TAU), (10_000, 33))
"""Points and tau: as the paper has it, and in proportion to the number of points."""
USUAL = SETTINGS[1]
SEEDS = (0, 1, 2, 3, 4)
BLOBS_SEED, STRETCHED_SEED = 8, 170
"""Where scikit-learn's example has the centres of its blobs."""
STRETCH = ((0.6, -0.6), (-0.4, 0.8))
DEFAULTS = (Path("docs/toy-sets.md"), Path("docs/figures/toy-sets.svg"))
PANEL, GAP, HEAD, FOOT = 150, 8, 24, 20

VERDICT = """What the paper says holds at this number of points. At 0.90 the moons, the stretched
and the round blobs are found, of the varied blobs the two dense ones (the wide one is too thin),
and nothing in the homogeneous set; the outer circle is scraps at best. At 0.73 both circles are
found (now and then with a gap, which makes two hubs of one), the wide blob is found with most
seeds, and more than half of the homogeneous set lies in hubs."""

OTHER_SIZES = """With 500 points most tiles hold fewer than 5: the same settings find little. With
10 000 points and the same tau nearly every tile is full, so clusters whose edges touch become one
hub, and the homogeneous set is one. With a tau in proportion to the points, 5 for 1 500 and 33 for
10 000, the same is found as before, and more clearly: counts scatter less when they are larger."""

TEXT = f"""# Toy sets

Written by `python -m benchmarks.toysets` (in the environment of the benchmarks). Appendix A of the
RASTER paper runs scikit-learn's six toy sets with tau {TAU} and mu {MU}. What it says:
**precision 0.90 clusters all but the two circles well; 0.73 separates the circles too, and starts
to cluster the homogeneous set.**

![Six toy sets at two precisions: points coloured by hub, others grey](figures/toy-sets.svg)

The sets are those of scikit-learn's example "Comparing different clustering algorithms on toy
datasets": standardised, the centres of the blobs where the example has them (seeds {BLOBS_SEED}
and {STRETCHED_SEED}), the points around them drawn with seeds {SEEDS[0]} to {SEEDS[-1]}; the figure
shows seed {SEEDS[0]}. They are clustered as points of a plane
(`gridcli raster --planar --prec 0.90 --tau {TAU} --mu {MU}`), in tiles of 10^-0.90 = 0.126 and
10^-0.73 = 0.186.

The paper does not say how many points its sets have. The example had 1 500 when the paper was
written, and has 500 today. RASTER's tau is a number of points in a tile, so the number matters.

## {USUAL[0]:,} points

- **hubs**: found, mean over the seeds with the lowest and highest in brackets; **of**: how many
  clusters there are.
- **clustered**: share of all points that lie in hubs. RASTER leaves out what is not dense.
- **ARI**: adjusted Rand index of the points in hubs against the true clusters: 1 where every hub
  holds points of one cluster and every cluster is one hub.

{{usual}}

{VERDICT}

## Other numbers of points

Hubs, and the share of points in them.

{{sizes}}

{OTHER_SIZES}
"""


@dataclass(frozen=True)
class ToySet:
    """Points of a plane and what they belong to; no clusters where `truth` is None."""

    name: str
    clusters: int
    points: npt.NDArray[np.float64]
    truth: npt.NDArray[np.int64] | None


@dataclass(frozen=True)
class Score:
    """What a run found; `ari` is None where there is nothing to compare."""

    hubs: int
    share: float
    ari: float | None


Scores = dict[tuple[tuple[int, int], str, int], list[Score]]
"""Of each seed, by points and tau, precision, and position of the set."""


def toy_sets(n: int, seed: int) -> list[ToySet]:
    """Return the six sets, standardised, in the order of scikit-learn's example."""
    noise = {"n_samples": n, "random_state": seed}
    _, _, blobs = datasets.make_blobs(random_state=BLOBS_SEED, return_centers=True)
    _, _, stretched = datasets.make_blobs(random_state=STRETCHED_SEED, return_centers=True)
    blob, blob_truth = datasets.make_blobs(centers=stretched, **noise)
    made = [
        ("noisy circles", 2, *datasets.make_circles(factor=0.5, noise=0.05, **noise)),
        ("noisy moons", 2, *datasets.make_moons(noise=0.05, **noise)),
        (
            "blobs, varied",
            3,
            *datasets.make_blobs(centers=stretched, cluster_std=[1.0, 2.5, 0.5], **noise),
        ),
        ("anisotropic", 3, blob @ STRETCH, blob_truth),
        ("blobs", 3, *datasets.make_blobs(centers=blobs, **noise)),
        ("no structure", 0, np.random.default_rng(seed).random((n, 2)), None),
    ]
    return [
        ToySet(name, clusters, StandardScaler().fit_transform(points), truth)
        for name, clusters, points, truth in made
    ]


def hub_of_points(data: ToySet, prec: str, tau: int, folder: Path) -> npt.NDArray[np.int64]:
    """Run `gridcli raster` on a set and return the hub of each point, 0 for none."""
    points, tiles = folder / "points.parquet", folder / "tiles.parquet"
    x, y = data.points.T
    pq.write_table(pa.table({"x": x, "y": y}), points)
    gridcli(
        *("raster", points, "--planar", "--prec", prec, "--tau", tau, "--mu", MU, "-q"),
        *("-o", folder / "hubs.parquet", "--tiles", tiles, "--overwrite"),
    )
    found = pq.read_table(tiles, columns=["tile_x", "tile_y", "hub_id"]).to_pylist()
    hub = {(tile["tile_x"], tile["tile_y"]): tile["hub_id"] or 0 for tile in found}
    places = np.floor(data.points * 10.0 ** float(prec)).astype(np.int64)
    return np.array([hub.get((x, y), 0) for x, y in places.tolist()])


def score(data: ToySet, hub: npt.NDArray[np.int64]) -> Score:
    """Compare hubs with the true clusters."""
    inside = hub > 0
    ari = None
    if data.truth is not None and inside.any():
        ari = float(adjusted_rand_score(data.truth[inside], hub[inside]))
    return Score(len(set(hub[inside].tolist())), float(inside.mean()), ari)


def drawn(sets: list[ToySet], hubs: dict[str, list[npt.NDArray[np.int64]]]) -> Drawing:
    """Return the figure: a row for each precision, a column for each set."""
    step = PANEL + GAP
    rows = HEAD + PANEL + FOOT
    drawing = Drawing(GAP + step * len(sets), rows * len(hubs) + GAP)
    for row, (prec, of_sets) in enumerate(hubs.items()):
        for column, (data, hub) in enumerate(zip(sets, of_sets, strict=True)):
            left, top = GAP + column * step, row * rows + HEAD
            reach = float(np.abs(data.points).max()) * 1.05
            frame = Frame(left, top, PANEL, PANEL, -reach, -reach, reach, reach)
            drawing.box(frame)
            for value in sorted(set(hub.tolist())):
                colour = PALETTE[(value - 1) % len(PALETTE)] if value else GREY
                drawing.dots(frame, data.points[hub == value].tolist(), colour)
            words = f"{data.name}, prec {prec}"
            drawing.words(left + PANEL / 2, top - 7, words)
            found = score(data, hub)
            told = f"{found.hubs} hubs, {found.share:.0%} of points"
            drawing.words(left + PANEL / 2, top + PANEL + 14, told, size=11)
    return drawing


def spread(values: list[int]) -> str:
    """Return the mean, and the lowest and highest where they differ."""
    if min(values) == max(values):
        return f"{values[0]}"
    return f"{mean(values):.1f} ({min(values)} to {max(values)})"


def ari_of(scores: list[Score]) -> str:
    """Return the mean index of the runs that have one."""
    values = [each.ari for each in scores if each.ari is not None]
    return f"{mean(values):.2f}" if values else ""


def usual_table(sets: list[ToySet], scores: Scores) -> str:
    """Return the table for the usual number of points."""
    lines = ["| set | prec | hubs | of | clustered | ARI |", "|---|---|---|---|---|---|"]
    for at, data in enumerate(sets):
        for prec in PRECISIONS:
            found = scores[USUAL, prec, at]
            cells = [
                *(data.name, prec, spread([each.hubs for each in found]), f"{data.clusters}"),
                *(f"{mean(each.share for each in found):.0%}", ari_of(found)),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sizes_table(sets: list[ToySet], scores: Scores) -> str:
    """Return the table of all numbers of points: hubs, and the share of points in them."""
    columns = [(setting, prec) for setting in SETTINGS for prec in PRECISIONS]
    heads = [f"{n:,} points, tau {tau}, prec {prec}" for (n, tau), prec in columns]
    lines = [f"| set | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for at, data in enumerate(sets):
        cells = []
        for setting, prec in columns:
            found = scores[setting, prec, at]
            share = mean(each.share for each in found)
            cells.append(f"{spread([each.hubs for each in found])}; {share:.0%}")
        lines.append(f"| {data.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure everything, write the page and its figure."""
    given = [Path(name) for name in sys.argv[1:]]
    page, figure = [*given, *DEFAULTS[len(given) :]]
    scores: Scores = {}
    with tempfile.TemporaryDirectory() as name:
        for setting in SETTINGS:
            n, tau = setting
            for seed in SEEDS:
                sets = toy_sets(n, seed)
                hubs = {
                    prec: [hub_of_points(data, prec, tau, Path(name)) for data in sets]
                    for prec in PRECISIONS
                }
                for prec, of_sets in hubs.items():
                    for at, (data, hub) in enumerate(zip(sets, of_sets, strict=True)):
                        scores.setdefault((setting, prec, at), []).append(score(data, hub))
                if (setting, seed) == (USUAL, SEEDS[0]):
                    drawn(sets, hubs).write(figure)
                print(f"{n:,} points, tau {tau}, seed {seed}", flush=True)
    tables = {"usual": usual_table(sets, scores), "sizes": sizes_table(sets, scores)}
    page.write_text(TEXT.format(**tables), encoding="utf-8")


if __name__ == "__main__":
    main()
