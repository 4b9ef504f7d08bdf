"""Which states may be merged and subtracted, and what becomes of all but their tiles."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridcli.dims.syntax import options_of
from gridcli.errors import DataError, UsageError
from gridcli.points.batch import Reason, RowCounts
from gridcli.points.filtersyntax import parse_condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridcli.grid.grid import Grid
    from gridcli.raster.unique.rule import UniqueRule
    from gridcli.states.info import InputRecord, Rules, StateInfo

Named = tuple[str, "StateInfo"]
"""What a state is called in messages, and what it says of itself."""


@dataclass(frozen=True)
class Combination:
    """What a merged state holds besides its tiles.

    Attributes
    ----------
    grid : Grid
    rules : Rules
        Those of the first state.
    counts : RowCounts
    inputs : tuple of InputRecord
    notes : tuple of str
        Differences that do not hinder: sentences without a full stop.
    """

    grid: Grid
    rules: Rules
    counts: RowCounts
    inputs: tuple[InputRecord, ...]
    notes: tuple[str, ...]


def combine(
    states: Sequence[Named], minus: Sequence[Named] = (), *, allow_overlap: bool = False
) -> Combination:
    """Return what the sum of some states, less others, holds besides its tiles.

    Parameters
    ----------
    states : sequence of (name, StateInfo)
        At least one.
    minus : sequence of (name, StateInfo)
        To be subtracted.
    allow_overlap : bool
        Inputs that several states count are counted as often.

    Raises
    ------
    UsageError
        Grids or population rules differ, an input would be counted twice, or one is to be
        subtracted that is not there.
    DataError
        More rows would be subtracted than there are.
    """
    first = states[0]
    notes = [note for other in (*states[1:], *minus) for note in compare_rules(first, other)]
    if not allow_overlap:
        _refuse_shared(states)
    inputs = _remaining_inputs(states, minus)
    counts = RowCounts()
    for _, info in states:
        counts.add(info.counts)
    for name, info in minus:
        _subtract_counts(counts, name, info.counts)
    return Combination(first[1].grid, first[1].rules, counts, inputs, tuple(notes))


THIS_RUN = "this run"
"""What messages call a run that adds to a state."""


def compare_rules(one: Named, other: Named, *, otherwise: str | None = None) -> list[str]:
    """Return the differences between two states that do not hinder adding one to the other.

    Columns may be called differently, and coordinates scaled, in each source of the same points.

    Parameters
    ----------
    one : (name, StateInfo)
    other : (name, StateInfo)
    otherwise : str, optional
        `other` is a run that would add to `one`: what its user can do instead of changing its
        options, for the message.

    Raises
    ------
    UsageError
        The states count other tiles, or other rows.
    """
    (name, info), (other_name, other_info) = one, other
    others = _population(other_info)
    for what, (value, shown) in _population(info).items():
        if value != others[what][0]:
            if otherwise is not None:
                raise UsageError(
                    f"{name} {_counts(what, shown)}, but {other_name} "
                    f"{_would_count(what, others[what][1])}: "
                    f"{' or '.join([*_options_of(what, info), otherwise])}."
                )
            raise UsageError(
                f"{name} and {other_name} do not go together: their {what} differs ({shown} and "
                f"{others[what][1]}). Contract the inputs of one of them anew, with the options "
                "of the other."
            )
    return [
        f"{other_name}: {what} {_text(other_value)}, unlike {_text(value)} of {name}"
        for what, value, other_value in (
            ("columns", info.rules.columns, other_info.rules.columns),
            ("--scale", info.rules.scale, other_info.rules.scale),
        )
        if value != other_value
    ]


def _counts(what: str, shown: str) -> str:
    """Say what a state counts."""
    return f"is of grid {shown}" if what == "grid" else f"was counted with {what} {shown}"


def _would_count(what: str, shown: str) -> str:
    """Say what a run would count."""
    return f"would count tiles of {shown}" if what == "grid" else f"has {what} {shown}"


def _options_of(what: str, info: StateInfo) -> list[str]:
    """Return the advice that makes a run count as a state does; none for coarsened grids."""
    rules = info.rules
    if what == "grid":
        if info.grid.multiple > 1:
            return []
        options = {"t": "--planar --tile-size {}", "p": "--planar --prec {}", "g": "--prec {}"}
        option = options.get(info.grid.name[0], "--tile-size {}m")
        return [f"add {option.format(info.grid.name[1:])},"]
    options = {
        "--where": " ".join(f"--where {shlex.quote(each)}" for each in rules.where),
        "--bbox": "" if rules.bbox is None else f"--bbox={','.join(map(repr, rules.bbox))}",
        "--keep-null-island": "--keep-null-island" if rules.keep_null_island else "",
        "--unique": "" if rules.unique is None else _options_of_unique(rules.unique),
        "--dims": "" if info.dims is None else options_of(info.dims),
    }
    return [f"give {options[what]}," if options[what] else f"leave out {what},"]


def _options_of_unique(rule: UniqueRule) -> str:
    if rule.vehicle is None:
        return "--unique without --vehicle"
    return f"--unique --vehicle {shlex.quote(rule.vehicle)}"


def _population(info: StateInfo) -> dict[str, tuple[Any, str]]:
    """Return what decides about rows and tiles: to be compared, and as messages show it."""
    rules = info.rules
    # Neither the order of conditions nor their spelling matters.
    conditions = {
        (each.column, each.operator, frozenset(each.values))
        for each in map(parse_condition, rules.where)
    }
    edges = None if rules.bbox is None else [f"{edge:.12g}" for edge in rules.bbox]
    keeps = rules.keep_null_island
    vehicle = None if rules.unique is None else rules.unique.vehicle
    unique = (rules.unique is not None, None if vehicle is None else vehicle.casefold())
    return {
        "grid": (info.grid.describe(), info.grid.name),
        "--where": (conditions, _text(rules.where)),
        "--bbox": (rules.bbox, _text(edges)),
        "--keep-null-island": (keeps, "yes" if keeps else "no"),
        "--unique": (unique, f"for each {vehicle}" if vehicle else "yes" if unique[0] else "no"),
        "--dims": (
            [axis.text.casefold() for axis in rules.axes],
            " and ".join(axis.text for axis in rules.axes) or "none",
        ),
    }


def _text(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return ", ".join(value) if isinstance(value, tuple | list) else str(value)


def _refuse_shared(states: Sequence[Named]) -> None:
    """Refuse states that count the same input; inputs without rows are nothing to count twice."""
    counted_by: dict[str, str] = {}
    for name, info in states:
        if info.counts.read == 0:
            continue
        for each in info.inputs:
            if each.identity is None:
                continue
            other_name = counted_by.setdefault(each.identity, name)
            if other_name != name:
                raise UsageError(
                    f"{other_name} and {name} both count {each.shown}, whose points would count "
                    "twice. Leave one of them out, or add --allow-overlap."
                )


def _remaining_inputs(states: Sequence[Named], minus: Sequence[Named]) -> tuple[InputRecord, ...]:
    """Return the inputs of the states without those that are subtracted, each as often."""
    present = Counter(each.identity for _, info in states for each in info.inputs)
    removed: Counter[str | None] = Counter()
    for name, info in minus:
        for each in info.inputs:
            if each.identity is None:
                raise UsageError(
                    f"{name} cannot be subtracted: it counts {each.shown}, which nothing "
                    "identifies. Contract streams with --input-id."
                )
            removed[each.identity] += 1
            if removed[each.identity] > present[each.identity]:
                raise UsageError(
                    f"{name} cannot be subtracted: it counts {each.shown}, which the other states "
                    "do not, or which is subtracted twice."
                )
    remaining = []
    for _, info in states:
        for each in info.inputs:
            if removed[each.identity]:
                removed[each.identity] -= 1
            else:
                remaining.append(each)
    return tuple(remaining)


def _subtract_counts(counts: RowCounts, name: str, less: RowCounts) -> None:
    """Subtract row counts in place."""
    before = counts.record()
    for label, n in less.record().items():
        if n > before.get(label, 0):
            raise DataError(
                f"{name} cannot be subtracted: it counts {n:,} rows as {label}, but there are "
                f"only {before.get(label, 0):,}. Subtract the very state that was merged."
            )
    counts.read -= less.read
    counts.used -= less.used
    counts.outside -= less.outside
    if less.repeated is not None:
        counts.repeated = (counts.repeated or 0) - less.repeated
    for reason in Reason:
        counts.reasons[reason] -= less.reasons[reason]
