"""From arguments to files: `gridcli.points.sources` and `gridcli.points.streams`."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from gridcli.errors import InputError, UsageError
from gridcli.points.plan import ReadOptions
from gridcli.points.sources import expand
from gridcli.points.streams import STDIN, Spool, Streams

OPTIONS = ReadOptions()
CSV = b"lat,lon\n1,2\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty directory, so that names can be relative."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str, data: bytes = CSV) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)


def names(*inputs: str, options: ReadOptions = OPTIONS) -> list[str]:
    return [source.name for source in expand(inputs, options)]


def test_no_input_is_wrong_usage():
    with pytest.raises(UsageError, match="No input"):
        expand([], OPTIONS)


def test_files_stay_in_the_order_given():
    put("b.csv", "a.csv")
    assert names("b.csv", "a.csv") == ["b.csv", "a.csv"]


def test_directory_is_walked_in_order_and_skips_what_is_no_data():
    put("d/b.csv", "d/a/z.tsv", "d/a/y.csv.gz", "d/README.md", "d/_SUCCESS", "d/.hidden.csv")
    put("d/_temporary/x.csv", "d/.git/x.csv")
    put("d/part-0", data=b"PAR1....")
    assert names("d") == ["d/b.csv", "d/part-0", "d/a/y.csv.gz", "d/a/z.tsv"]


@pytest.mark.parametrize("pattern", ["d/*.csv", "d/**/*.csv", "d/?.csv"])
def test_glob_is_expanded_in_order(pattern: str):
    put("d/b.csv", "d/a.csv", "d/c.txt", "d/s/e.csv")
    nested = ["d/s/e.csv"] if "**" in pattern else []
    assert names(pattern) == ["d/a.csv", "d/b.csv", *nested]


def test_literal_name_wins_over_glob():
    put("run[1].csv", "run1.csv")
    assert names("run[1].csv") == ["run[1].csv"]


def test_glob_may_match_directories():
    put("y=1/a.csv", "y=2/b.csv")
    sources = expand(["y=*"], OPTIONS)
    assert [(s.name, s.partitions) for s in sources] == [
        ("y=1/a.csv", {"y": "1"}),
        ("y=2/b.csv", {"y": "2"}),
    ]


def test_hive_folders_become_partitions():
    put("d/year=2024/city=S%C3%A3o%20Paulo/a.csv", "d/plain/b.csv")
    sources = {s.name: s.partitions for s in expand(["d"], OPTIONS)}
    assert sources == {
        "d/year=2024/city=S%C3%A3o%20Paulo/a.csv": {"year": "2024", "city": "São Paulo"},
        "d/plain/b.csv": {},
    }


def test_partitions_begin_below_the_directory_or_at_the_wildcard():
    put("k=0/year=2024/a.csv")
    assert expand(["k=0"], OPTIONS)[0].partitions == {"year": "2024"}
    assert expand(["k=0/year=*/*.csv"], OPTIONS)[0].partitions == {"year": "2024"}
    assert expand(["k=0/year=2024/a.csv"], OPTIONS)[0].partitions == {}


def test_list_of_files():
    put("a.csv", "d/b.csv", "-")
    Path("list.txt").write_text("# files\n\nd\n  a.csv \n-\n")
    assert names("@list.txt") == ["d/b.csv", "a.csv", "./-"]


def test_list_that_names_nothing():
    Path("list.txt").write_text("# none\n")
    with pytest.raises(InputError, match="names no file"):
        names("@list.txt")


def test_list_that_is_missing_or_no_text():
    with pytest.raises(InputError, match=r"missing\.txt: no such file"):
        names("@missing.txt")
    put("list.txt", data=b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        names("@list.txt")


def test_same_file_is_read_once():
    put("d/a.csv")
    Path("link.csv").symlink_to("d/a.csv")
    Path("same").symlink_to("d")
    Path("hard.csv").hardlink_to("d/a.csv")
    assert names("d/a.csv", "./d/a.csv", "link.csv", "hard.csv", "same", "d/*") == ["d/a.csv"]


def test_directory_that_holds_itself():
    put("d/a.csv")
    Path("d/up").symlink_to("..")
    assert names("d") == ["d/a.csv"]


@pytest.mark.parametrize("argument", ["missing.csv", "d", "*.parquet", "dangling.csv"])
def test_nothing_there(argument: str):
    put("d/notes.md")
    Path("dangling.csv").symlink_to("nowhere")
    with pytest.raises(InputError) as caught:
        names(argument)
    assert argument in str(caught.value)


@pytest.mark.parametrize("argument", ["s3://bucket/a.parquet", "gs://b/c", "https://x/y.csv"])
def test_uris_are_not_supported_yet(argument: str):
    with pytest.raises(UsageError, match="not supported yet"):
        names(argument)


@pytest.mark.parametrize("argument", ["a.csv", "d", "*.csv", "a.parquet"])
def test_zero_bytes(argument: str):
    put("a.csv", "d/b.parquet", "a.parquet", data=b"")
    with pytest.raises(InputError, match="empty file"):
        names(argument)


def test_unreadable_file_and_directory(monkeypatch: pytest.MonkeyPatch):
    put("a.csv", "d/b.csv")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"a\.csv: no permission"):
        names("a.csv")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="d: no permission"):
        names("d")


FORMATS = [
    ("a.csv", CSV, "csv", None),
    ("a.CSV.GZ", gzip.compress(CSV), "csv", "gz"),
    ("a.tsv.zst", b"\x28\xb5\x2f\xfd", "csv", "zst"),
    ("a.txt.bz2", bz2.compress(CSV), "csv", "bz2"),
    ("a.csv", gzip.compress(CSV), "csv", "gz"),
    ("a.gz", gzip.compress(CSV), "csv", "gz"),
    ("a", bz2.compress(CSV), "csv", "bz2"),
    ("a.dat", CSV, "csv", None),
    ("a.parquet", b"junk", "parquet", None),
    ("a.pq", b"junk", "parquet", None),
    ("a.geoparquet", b"junk", "parquet", None),
    ("a.dat", b"PAR1....", "parquet", None),
    ("a.arrow", b"junk", "ipc", None),
    ("a.feather", b"junk", "ipc", None),
    ("a", b"ARROW1\0\0", "ipc", None),
    ("a.arrows", b"junk", "ipc-stream", None),
    ("a", b"\xff\xff\xff\xff\x10\0\0\0", "ipc-stream", None),
]


@pytest.mark.parametrize(("name", "data", "format_", "compression"), FORMATS)
def test_format_by_suffix_else_magic_bytes(name, data, format_, compression):
    put(name, data=data)
    (source,) = expand([name], OPTIONS)
    assert (source.format, source.compression) == (format_, compression)
    assert source.size_bytes == len(data)


def test_input_format_overrides():
    put("a.parquet", "d/x.dat", "d/y.parquet")
    csv = ReadOptions(input_format="csv")
    (source,) = expand(["a.parquet"], csv)
    assert source.format == "csv"
    assert names("d", options=csv) == ["d/x.dat"]


@pytest.mark.parametrize(
    ("data", "format_", "compression"),
    [
        (CSV, "csv", None),
        (b"1", "csv", None),
        (gzip.compress(CSV), "csv", "gz"),
        (bz2.compress(CSV), "csv", "bz2"),
        (b"\x28\xb5\x2f\xfd....", "csv", "zst"),
        (b"PAR1....", "parquet", None),
        (b"ARROW1\0\0....", "ipc", None),
        (b"\xff\xff\xff\xff\x10\0\0\0....", "ipc-stream", None),
    ],
)
def test_standard_input_keeps_the_bytes_that_told_its_format(data, format_, compression):
    streams = Streams(io.BytesIO(data))
    (source,) = expand([STDIN, STDIN], OPTIONS, streams)
    assert (source.name, source.path, source.size_bytes) == (STDIN, None, None)
    assert (source.format, source.compression) == (format_, compression)
    assert streams.take(STDIN).read() == data


class Drip(io.RawIOBase):
    """A pipe whose writer sends one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        taken, self.data = self.data[:1], self.data[1:]
        buffer[: len(taken)] = taken
        return len(taken)


def test_format_of_a_slow_pipe():
    streams = Streams(io.BufferedReader(Drip(b"PAR1 and so on")))
    (source,) = expand([STDIN], OPTIONS, streams)
    assert source.format == "parquet"
    assert streams.take(STDIN).read() == b"PAR1 and so on"


def test_empty_standard_input():
    with pytest.raises(InputError, match="standard input: empty"):
        expand([STDIN], OPTIONS, Streams(io.BytesIO()))


def test_closed_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="closed"):
        expand([STDIN], OPTIONS)


def test_named_pipe_is_a_stream():
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(CSV,))
    writer.start()
    streams = Streams()
    (source,) = expand(["pipe"], OPTIONS, streams)
    assert (source.path, source.format) == (None, "csv")
    assert streams.take("pipe").read() == CSV
    writer.join()
    streams.close()


def test_spool_can_be_opened_and_has_no_name(folder: Path):
    streams = Streams(io.BytesIO(b"PAR1" * 1000))
    (source,) = expand([STDIN], OPTIONS, streams)
    spool = Spool(source, streams.take(STDIN), folder)
    assert list(folder.iterdir()) == []
    assert spool.source.size_bytes == 4000
    assert spool.source.path is not None
    assert spool.source.path.read_bytes() == b"PAR1" * 1000
    spool.close()
    spool.close()


def test_spool_without_a_directory(folder: Path):
    streams = Streams(io.BytesIO(b"PAR1"))
    (source,) = expand([STDIN], OPTIONS, streams)
    with pytest.raises(UsageError, match="--temp-dir"):
        Spool(source, streams.take(STDIN), folder / "missing")


def test_a_glob_skips_hidden_names_unless_it_spells_them(tmp_path) -> None:
    for name in ("a.csv", "_truth/t.csv", "b/.hidden/c.csv", "b/d.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("lat,lon\n1,2\n")

    def found(pattern: str) -> list[str]:
        inputs = expand([str(tmp_path / pattern)], ReadOptions())
        return [str(each.path.relative_to(tmp_path)) for each in inputs]

    assert found("**/*.csv") == ["a.csv", "b/d.csv"]
    assert found("*") == ["a.csv", "b/d.csv"]
    assert found("_tr*/*.csv") == ["_truth/t.csv"]
