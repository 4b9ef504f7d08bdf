"""From what the user typed to opened states."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gridcli.errors import UsageError
from gridcli.output.formats import SUFFIXES
from gridcli.points.plan import ReadOptions
from gridcli.points.sources import expand
from gridcli.points.streams import Spool, Streams
from gridcli.states.file import StateFile, open_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def opened_states(
    arguments: Sequence[str], *, temp_dir: str | None = None
) -> Iterator[list[StateFile]]:
    """Open the states that the user's arguments stand for, in order, each real file once.

    Parameters
    ----------
    arguments : sequence of str
        Files, folders, globs, ``@list.txt``, ``-``; may be empty.
    temp_dir : str, optional
        Where streams are kept, which are read out of order.

    Raises
    ------
    InputError
        A file is missing, or not a state that can be read.
    """
    with ExitStack() as stack:
        streams = Streams()
        stack.callback(streams.close)
        states = []
        for source in expand(arguments, ReadOptions(), streams) if arguments else ():
            name = "standard input" if source.name == "-" else source.name
            if source.path is None:
                folder = None if temp_dir is None else Path(temp_dir)
                spool = Spool(source, streams.take(source.name), folder)
                stack.callback(spool.close)
                source = spool.source
            states.append(open_state(str(source.path), name=name))
        yield states


@contextmanager
def opened_state(argument: str, *, temp_dir: str | None = None) -> Iterator[StateFile]:
    """Open the one state that the user's argument stands for; see `opened_states`.

    Raises
    ------
    InputError
        The file is missing, or not a state that can be read.
    UsageError
        There are several.
    """
    with opened_states([argument], temp_dir=temp_dir) as states:
        if len(states) > 1:
            raise UsageError(
                f"{argument} stands for {len(states)} states where one is needed; gridcli merge "
                "makes one of them."
            )
        yield states[0]


def require_plane(state: StateFile, command: str) -> None:
    """Refuse a state of tiles in more than two dimensions.

    Raises
    ------
    UsageError
    """
    if state.info.dims is not None:
        raise UsageError(
            f"{state.name} counts tiles in {state.info.dims.d} dimensions "
            f"({state.info.dims.name}), and {command} looks at tiles of a plane. gridcli "
            "agglomerate finds the hubs of such a state."
        )


def check_state_name(output: str) -> None:
    """Refuse to write a state under the suffix of another format.

    Raises
    ------
    UsageError
    """
    suffix = Path(output).suffix.lower()
    if SUFFIXES.get(suffix, "parquet") != "parquet":
        raise UsageError(f"{output}: a state is a Parquet file; give it the suffix .parquet.")
