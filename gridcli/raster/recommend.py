"""A setting to begin with, recommended from a sweep, and why.

Two heuristics, on what the data show and on nothing else:

- **The knee.** Chance leaves many tiles with few points, and places leave few tiles with many. The
  number of tiles with at least tau points, drawn over tau with logarithmic axes, then falls
  steeply while tau leaves out chance, and slowly after: it sags below the straight line between
  its ends, most at the knee (Satopaa et al. 2011, "Finding a 'Kneedle' in a Haystack"). The
  coarsening that sags most tells places from chance best. Sagging by less than three standard
  deviations of the number of tiles at the knee, its square root, is no knee; and the curve ends
  where fewer than nine tiles are left, which is three deviations of their number. Tiles much
  smaller than the places show a knee too, where places are cut into pieces rather than told from
  chance: the number of hubs then hangs on tau and mu, and the knee is passed over.
- **The plateau.** Without a knee, the setting is the one whose number of hubs changes least when
  tau or mu goes one step along the table: what is there does not hang on the setting. Settings
  where one hub holds most of the points in hubs are left aside: all has grown together there, and
  is stable for that reason. Where the number changes much everywhere, no setting is convincing,
  and the least bad one is given as such.

Neither knows what a hub is to its user; both weigh the settings of the table alone, and one tau is
taken for all places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gridcli.raster.sweep import Level, Sweep, SweepRow

DEVIATIONS = 3.0
FEWEST_TILES = DEVIATIONS**2
"""Fewer tiles are fewer than three of their standard deviations: the curve ends before, so that
no single fullest tile decides where the line ends."""
MOST_AFTER_KNEE = 1.0
"""A knee counts while one step changes the number of hubs by a factor of 2 at most; more than on a
plateau, for a step back from the knee goes into the noise."""
MOST_ON_PLATEAU = 0.5
"""No plateau is where one step changes the number of hubs by more."""


@dataclass(frozen=True)
class Knee:
    """Where the curve of tile counts sags most.

    Attributes
    ----------
    tau : int
        The count at which it does.
    factor : float
        How many times fewer tiles there are than on the straight line; above 1.
    """

    tau: int
    factor: float


@dataclass(frozen=True)
class Weighed:
    """What was weighed of one coarsening.

    Attributes
    ----------
    coarsen : int
    grid : str
    knee : Knee or None
    best : SweepRow or None
        Its setting with the most stable number of hubs.
    change : float
        By which factor, less 1, that number changes at most in one step; infinite: to or from no
        hub at all.
    """

    coarsen: int
    grid: str
    knee: Knee | None
    best: SweepRow | None
    change: float


@dataclass(frozen=True)
class Recommendation:
    """A setting, or none, and why.

    Attributes
    ----------
    setting : SweepRow or None
    method : str
        "knee", "plateau", "least_bad" or "none".
    reason : str
    weighed : list of Weighed
        One for each coarsening.
    """

    setting: SweepRow | None
    method: str
    reason: str
    weighed: list[Weighed]


def recommend(sweep: Sweep) -> Recommendation:
    """Return the setting to begin with."""
    changes = _changes(sweep)
    apart = [row for row in sweep.rows if row.hubs and 2 * row.largest_hub <= row.hub_points]
    eligible = apart or [row for row in sweep.rows if row.hubs]
    weighed = [_weigh(level, eligible, changes, sweep) for level in sweep.levels]
    if not eligible:
        return Recommendation(None, "none", _no_hub(sweep), weighed)
    by_knee = _after_knee(sweep, weighed, changes)
    if by_knee is not None:
        return by_knee
    if len(sweep.options.tau) == len(sweep.options.mu) == 1:
        reason = (
            "no coarsening shows a knee, and a single tau and mu do not tell how the number of "
            "hubs changes with them: list several."
        )
        return Recommendation(None, "none", reason, weighed)
    candidates = [each for each in weighed if each.best is not None]
    chosen = min(candidates, key=lambda each: (_percent(each.change), each.coarsen))
    if chosen.change > MOST_ON_PLATEAU:
        return Recommendation(chosen.best, "least_bad", _least_bad(chosen), weighed)
    knees = "no coarsening shows a knee over tau that settings bear out"
    if all(each.knee is None for each in weighed):
        knees = (
            "at no coarsening does the number of tiles show a knee over tau, as chance makes it do"
        )
    reason = (
        f"{knees}; so the number of hubs decides, which is most stable here: in one step of tau or "
        f"mu it {shown_change(chosen.change)}. Of equals, the finest tiles are taken."
    )
    return Recommendation(chosen.best, "plateau", reason, weighed)


def find_knee(level: Level) -> Knee | None:
    """Return where the curve of tile counts over tau sags most; None where it does not."""
    counts = level.counts[level.at_least >= FEWEST_TILES]
    tiles = level.at_least[: len(counts)]
    if len(counts) < 2:
        return None
    # The number of tiles stays the same from one count, left out, up to the next one.
    tau = np.concatenate([counts[:1], counts[:-1] + 1, counts[-1:]])
    x, y = np.log(tau), np.log(np.append(tiles, tiles[-1]))
    sag = y[0] + (x - x[0]) * (y[-1] - y[0]) / (x[-1] - x[0]) - y
    place = int(np.argmax(sag))
    if sag[place] * math.exp(y[place] / 2) <= DEVIATIONS:
        return None
    return Knee(int(tau[place]), math.exp(sag[place]))


def _after_knee(
    sweep: Sweep, weighed: list[Weighed], changes: dict[SweepRow, float]
) -> Recommendation | None:
    """Return the setting after the deepest knee that counts; None where there is none."""
    with_knee = [(each, each.knee) for each in weighed if each.knee is not None]
    for each, knee in sorted(with_knee, key=lambda pair: (-pair[1].factor, pair[0].coarsen)):
        beyond = [tau for tau in sweep.options.tau if tau >= knee.tau]
        if not beyond:
            continue
        rows = [
            row
            for row in sweep.rows
            if (row.coarsen, row.tau) == (each.coarsen, beyond[0]) and row.hubs
        ]
        if not rows:
            continue
        best = min(rows, key=lambda row: (_percent(changes[row]), row.mu))
        if changes[best] > MOST_AFTER_KNEE:
            continue
        reason = (
            f"the number of tiles falls fast up to tau {knee.tau:,}, as tiles filled by chance are "
            f"left out, and slowly after: there it is {knee.factor:.1f} times below a straight "
            f"line between the ends of its curve. {beyond[0]:,} is the first tau listed from there "
            "on"
        )
        if len(rows) > 1:
            reason += (
                f", and mu {best.mu} keeps the number of hubs most stable: in one step of tau or "
                f"mu it {shown_change(changes[best])}"
            )
        return Recommendation(best, "knee", reason + ".", weighed)
    return None


def _weigh(
    level: Level, eligible: list[SweepRow], changes: dict[SweepRow, float], sweep: Sweep
) -> Weighed:
    """Return the knee and the most stable setting of a coarsening."""
    own = [row for row in eligible if row.coarsen == level.coarsen]
    inner = [row for row in own if _is_inner(row.tau, sweep.options.tau)]
    inner = [row for row in inner if _is_inner(row.mu, sweep.options.mu)]
    candidates = inner or own
    knee = find_knee(level)
    if not candidates:
        return Weighed(level.coarsen, level.grid.name, knee, None, math.inf)
    best = min(candidates, key=lambda row: (_percent(changes[row]), -row.share, row.tau, row.mu))
    return Weighed(level.coarsen, level.grid.name, knee, best, changes[best])


def _is_inner(value: int, values: tuple[int, ...]) -> bool:
    """Whether a value has neighbours on both sides, as far as the list can give any."""
    return len(values) < 3 or values[0] < value < values[-1]


def _changes(sweep: Sweep) -> dict[SweepRow, float]:
    """Return by how much, at most, the number of hubs changes in one step of tau or mu."""
    hubs = {(row.coarsen, row.tau, row.mu): row.hubs for row in sweep.rows}
    found = {}
    for row in sweep.rows:
        around = [(row.coarsen, tau, row.mu) for tau in _next(row.tau, sweep.options.tau)]
        around += [(row.coarsen, row.tau, mu) for mu in _next(row.mu, sweep.options.mu)]
        found[row] = max((_change(row.hubs, hubs[setting]) for setting in around), default=0.0)
    return found


def _next(value: int, values: tuple[int, ...]) -> tuple[int, ...]:
    place = values.index(value)
    return values[max(place - 1, 0) : place] + values[place + 1 : place + 2]


def _change(a: int, b: int) -> float:
    """Return the factor between two numbers, less 1."""
    if min(a, b) == 0:
        return 0.0 if a == b else math.inf
    return max(a, b) / min(a, b) - 1


def _percent(change: float) -> float:
    """Return a change in whole percent: smaller differences do not matter."""
    return change if math.isinf(change) else round(100 * change)


def shown_change(change: float) -> str:
    """Say for people how a number changes, with the number as the subject."""
    if math.isinf(change):
        return "goes to none, or comes from none"
    if change > 1:
        factor = 1 + change
        return f"changes up to {factor:,.{0 if factor >= 10 else 1}f}-fold"
    return f"changes by up to {_percent(change):.0f} %"


def _least_bad(chosen: Weighed) -> str:
    return (
        "in one step of tau or mu the number of hubs changes a lot everywhere, so that what is "
        "found hangs on the setting more than on the data; here, at its least, it "
        f"{shown_change(chosen.change)}. The data may hold too few points for tiles of these "
        "sizes, or hubs of very different sizes: try other --coarsen and --tau, or gridcli "
        "agglomerate --adaptive."
    )


def _no_hub(sweep: Sweep) -> str:
    largest = max((int(level.counts[-1]) for level in sweep.levels if len(level.counts)), default=0)
    if largest == 0:
        return "the state holds no tiles."
    return (
        "no setting finds a hub. Try smaller --tau and --mu, or larger --coarsen: the fullest tile "
        f"of all holds {largest:,} points."
    )
