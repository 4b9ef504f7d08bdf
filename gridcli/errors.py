"""Exceptions of gridcli: one class per exit code of the contract (docs/contract.md, section 5).

An error is raised where its cause is known, with a text that says what is wrong, where, and what
to do. `gridcli.cli.exits` turns it into one paragraph and an exit code, in one place.
"""

from __future__ import annotations


class GridcliError(Exception):
    """Base of every error that a user can cause or meet; never raised itself."""

    exit_code = 1


class UsageError(GridcliError):
    """Wrong usage: unknown option, bad value, ambiguous columns, mismatched grids."""

    exit_code = 2


class InputError(GridcliError):
    """An input is missing, unreadable, truncated, corrupt, or of an unknown format."""

    exit_code = 3


class DataError(GridcliError):
    """The data is bad: too many bad rows, no valid row, a tile index that does not fit."""

    exit_code = 4


class OutputError(GridcliError):
    """An output exists, cannot be written, or is locked."""

    exit_code = 5


class ResourceError(GridcliError):
    """The memory limit or the temporary disk is exhausted."""

    exit_code = 6


class MissingExtraError(GridcliError):
    """An optional dependency is missing; the message names the extra to install."""

    exit_code = 7
