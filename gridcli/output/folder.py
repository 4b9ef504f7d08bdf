"""Folders that appear whole, or not at all."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gridcli.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def check_folder(
    target: Path, *, overwrite: bool, foreign: Callable[[Path], str | None], maker: str
) -> None:
    """Refuse a folder that holds anything that a run may not replace.

    Parameters
    ----------
    target : Path
    overwrite : bool
        What an earlier run left in it may be replaced.
    foreign : callable
        Returns the name of something in the folder that no run wrote; None where there is none.
    maker : str
        Who writes such folders, for messages.

    Raises
    ------
    OutputError
        It is a file, it is not empty and `overwrite` is false, or it holds what is foreign.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"{target} exists and is not a folder; name a new folder.")
    if not target.exists():
        return
    present = sorted(path.name for path in target.iterdir())
    if present and not overwrite:
        raise OutputError(
            f"The folder {target} is not empty (it holds {present[0]}); name another, or add "
            f"--overwrite to replace what {maker} wrote."
        )
    other = foreign(target) if present else None
    if other is not None:
        raise OutputError(
            f"The folder {target} holds {other}, which {maker} did not write; --overwrite "
            "replaces its own data only. Name another folder."
        )


@contextmanager
def folder_in_the_making(target: Path) -> Iterator[Path]:
    """Yield a folder beside `target` that takes its place on success and vanishes on failure.

    Raises
    ------
    OutputError
        A folder cannot be made or renamed.
    """
    whole = target.absolute()
    partial = whole.parent / f".{whole.name}.partial"
    replaced = whole.parent / f".{whole.name}.replaced"
    try:
        with errors_named(target):
            whole.parent.mkdir(parents=True, exist_ok=True)
            if replaced.exists() and not whole.exists():  # a run was killed between its renames
                replaced.rename(whole)
            for leftover in (partial, replaced):
                shutil.rmtree(leftover, ignore_errors=True)
            partial.mkdir()
        yield partial
        with errors_named(target):
            if whole.exists():
                whole.rename(replaced)
            try:
                partial.rename(whole)
            except BaseException:
                if replaced.exists() and not whole.exists():
                    replaced.rename(whole)
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def errors_named(target: Path) -> Iterator[None]:
    """Turn errors of the system, while a folder or what is in it is written, into one that says so.

    Raises
    ------
    OutputError
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error.strerror or error}. Name a folder that can be written, "
            "on a disk with room."
        ) from error
