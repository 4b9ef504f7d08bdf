"""Where the limits of this process's control groups stand (Linux)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def group_folders(
    controller: str, mount: Path = MOUNT, membership: Path = MEMBERSHIP
) -> Iterator[Path]:
    """Yield the folders of this process's groups and of all groups around them.

    A limit anywhere on the way binds, so all of them matter. A container may see its own group as
    the root of the mount, but be told its path outside: folders that do not exist are left out,
    and the root is always among those yielded.

    Parameters
    ----------
    controller : str
        E.g. "memory": version 1 has a hierarchy for each.
    mount : Path
        Where control groups are mounted.
    membership : Path
        Lines ``number:controllers:path``, one a hierarchy; version 2 has no controllers.
    """
    paths = _paths(membership)
    for root, path in (
        (mount, paths.get("")),
        (mount / "unified", paths.get("")),
        (mount / controller, paths.get(controller)),
    ):
        yield root
        parts = () if path is None else path.relative_to("/").parts
        if ".." in parts:  # outside of what this namespace shows
            continue
        for depth in range(1, len(parts) + 1):
            folder = root.joinpath(*parts[:depth])
            if not folder.is_dir():
                break
            yield folder


def words(path: Path) -> list[str]:
    """Return the words of a file; none where it cannot be read."""
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def _paths(membership: Path) -> dict[str, PurePosixPath]:
    try:
        lines = membership.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        fields = line.split(":", 2)
        if len(fields) == 3 and fields[2].startswith("/"):
            for controller in fields[1].split(","):
                found[controller] = PurePosixPath(fields[2])
    return found
