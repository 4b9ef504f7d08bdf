"""What counts as one point: every row, or each distinct coordinate (of each vehicle)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from gridcli.cli.options import bundle
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from gridcli.points.plan import ReadOptions
    from gridcli.raster.unique.rule import UniqueRule


@dataclass(frozen=True)
class UniqueChoice:
    """Whether rows that repeat another one count, and what tells vehicles apart."""

    unique: bool
    vehicle: str | None

    def __post_init__(self) -> None:
        if self.vehicle is not None and not self.unique:
            raise UsageError(
                "--vehicle goes with --unique: each coordinate then counts once for every vehicle."
            )

    def check(self, *, is_resumable: bool) -> None:
        """Refuse checkpoints, before anything is read or written."""
        if self.unique and is_resumable:
            raise UsageError(
                "--unique does not go with --checkpoint and --resume: a checkpoint holds counts "
                "of tiles, not the coordinates that they are of, so a resumed run would count "
                "some again. Leave the checkpoint out, or contract part by part with --append, "
                "where each run counts a coordinate once."
            )

    @property
    def rule(self) -> UniqueRule | None:
        """The rule of the rows; None where each counts."""
        from gridcli.raster.unique.rule import UniqueRule

        return UniqueRule(self.vehicle) if self.unique else None

    def reading(self, options: ReadOptions) -> ReadOptions:
        """Return what the readers need to know, the column of vehicles too."""
        if self.vehicle is None:
            return options
        return replace(options, extra_columns=(*options.extra_columns, self.vehicle))


unique_options = bundle(
    "uniqueness",
    UniqueChoice,
    click.option(
        "--unique",
        is_flag=True,
        help="Count each distinct coordinate once, so that a parked logger makes no hub.",
    ),
    click.option(
        "--vehicle",
        metavar="COL",
        help="With --unique: count it once for every vehicle, as this column names them.",
    ),
)
