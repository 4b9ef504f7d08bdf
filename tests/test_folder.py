"""Folders that appear whole: what a run that was killed leaves behind is put right."""

from __future__ import annotations

import pytest

from gridcli.output.folder import folder_in_the_making


class WrittenBadlyError(Exception):
    """Something went wrong while the folder was written."""


def test_a_folder_whose_replacing_was_killed_is_put_back(tmp_path):
    (tmp_path / ".rows.replaced").mkdir()
    (tmp_path / ".rows.replaced" / "old").touch()
    with pytest.raises(WrittenBadlyError), folder_in_the_making(tmp_path / "rows"):
        raise WrittenBadlyError
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]
    assert (tmp_path / "rows" / "old").exists()


def test_what_a_killed_run_had_begun_is_removed(tmp_path):
    (tmp_path / "rows").mkdir()
    for leftover in (".rows.partial", ".rows.replaced"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "stale").touch()
    with folder_in_the_making(tmp_path / "rows") as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]
    assert [path.name for path in (tmp_path / "rows").iterdir()] == ["new"]
