"""Reading within a memory limit: large pages are found, refused, or waited for."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcli.errors import InputError, ResourceError
from gridcli.points import ipc as ipc_module
from gridcli.points import parquet as parquet_module
from gridcli.points import room as room_module
from gridcli.points.ipcsizes import batch_size, record_batch_blocks
from gridcli.points.pages import (
    DATA_PAGE,
    DATA_PAGE_V2,
    DICTIONARY_PAGE,
    PageNeed,
    column_chunks,
    page_need,
    pages,
)
from gridcli.points.pieces import DamagedError
from gridcli.points.plan import ReadOptions
from gridcli.points.reader import PointReader
from gridcli.points.room import LIBRARIES_BYTES, THREAD_BYTES, USUAL_BYTES, Room, threads_that_fit
from gridcli.points.thrift import CompactReader

MIB = 1 << 20
ONE_PAGE = {"data_page_size": 1 << 30, "write_batch_size": 1 << 30, "max_rows_per_page": 1 << 30}
REQUIRED = pa.schema([pa.field(name, pa.float64(), nullable=False) for name in ("lat", "lon")])


def write(path, rows, schema=REQUIRED, **options):
    """Write a file of points; options are pyarrow's."""
    values = np.random.default_rng(5).integers(0, 60, rows).astype(np.float64)
    table = pa.table([values, values], schema=schema)
    pq.write_table(table, path, **{"row_group_size": rows, **ONE_PAGE, **options})
    return path


def chunks_of(path):
    with path.open("rb", buffering=0) as file:
        return column_chunks(file)


def pages_of(path, chunk):
    with path.open("rb", buffering=0) as file:
        return list(pages(file, chunk.offset, chunk.compressed_bytes))


def need_of(path, small_bytes=0):
    with path.open("rb", buffering=0) as file:
        return page_need(file, column_chunks(file)[0], small_bytes)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_a_page_is_as_large_as_its_values(codec, version, tmp_path):
    path = write(
        tmp_path / "a.parquet",
        10_000,
        use_dictionary=False,
        compression=codec,
        data_page_version=version,
    )
    (row_group,) = chunks_of(path)
    for chunk, name in zip(row_group, ("lat", "lon"), strict=True):
        (page,) = pages_of(path, chunk)
        assert page.kind == (DATA_PAGE if version == "1.0" else DATA_PAGE_V2)
        assert page.uncompressed_bytes == 80_000
        assert chunk.root == name
        assert chunk.is_compressed == (codec != "none")
        assert (page.compressed_bytes < 80_000) == chunk.is_compressed
    compressed = page.compressed_bytes if codec != "none" else 0
    assert need_of(path) == PageNeed(80_000, 160_000 + compressed)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_dictionaries_are_pages_too(version, tmp_path):
    path = write(tmp_path / "a.parquet", 10_000, data_page_version=version)
    for chunk in chunks_of(path)[0]:
        dictionary, data = pages_of(path, chunk)
        assert dictionary.kind == DICTIONARY_PAGE
        assert dictionary.uncompressed_bytes == 60 * 8
        assert data.uncompressed_bytes < 10_000  # 6 bits a value
    assert need_of(path).largest_bytes == data.uncompressed_bytes


@pytest.mark.parametrize("statistics", [True, False])
def test_pages_fill_their_column(statistics, tmp_path):
    schema = pa.schema([("lat", pa.float64()), ("lon", pa.float64())])
    path = write(
        tmp_path / "a.parquet",
        50_000,
        schema,
        row_group_size=20_000,
        data_page_size=4096,
        write_batch_size=100,
        use_dictionary=False,
        write_statistics=statistics,
        write_page_index=statistics,
    )
    row_groups = chunks_of(path)
    assert len(row_groups) == 3
    metadata = pq.read_metadata(path)
    for i, row_group in enumerate(row_groups):
        for j, chunk in enumerate(row_group):
            column = metadata.row_group(i).column(j)
            assert chunk.offset == column.data_page_offset
            assert chunk.uncompressed_bytes == column.total_uncompressed_size
            found = pages_of(path, chunk)
            assert len(found) > 10
            assert max(page.uncompressed_bytes for page in found) < 6000
            assert sum(page.uncompressed_bytes for page in found) > 8 * column.num_values


def test_long_statistics_are_read_through(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["x" * 3000, "y" * 3000]})
    pq.write_table(table, path, use_dictionary=False, compression="none")
    (chunk,) = chunks_of(path)[0]
    assert [page.uncompressed_bytes for page in pages_of(path, chunk)] == [6 + 2 * 3004]


def test_the_parts_of_a_struct_belong_to_its_column(tmp_path):
    point = pa.struct([("x", pa.float64()), ("y", pa.float64())])
    table = pa.table({"id": [1], "geometry": pa.array([{"x": 1.0, "y": 2.0}], point)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [c.root for c in chunks_of(tmp_path / "a.parquet")[0]] == ["id", "geometry", "geometry"]


def test_a_large_page_is_refused_with_numbers(tmp_path):
    path = write(tmp_path / "a.parquet", 3_000_000, use_dictionary=False)
    with (
        PointReader([str(path)], ReadOptions(memory_bytes=32 * MIB)) as reader,
        pytest.raises(
            ResourceError, match=r"page of 23 MiB, .* quarter .* 32 MiB.*--max-memory 104MiB"
        ),
    ):
        list(next(reader.chunks()).decode())
    with (
        PointReader([str(path)], ReadOptions(memory_bytes=92 * MIB)) as reader,
        pytest.raises(ResourceError, match=r"52 MiB at once .* half .* 92 MiB"),
    ):
        list(next(reader.chunks()).decode())
    for limit in (None, 400 * MIB):
        with PointReader([str(path)], ReadOptions(memory_bytes=limit)) as reader:
            assert sum(len(b) for c in reader.chunks() for b in c.decode()) == 3_000_000
            assert reader.room.held_bytes == 0


def test_many_small_pages_are_not(tmp_path):
    path = write(
        tmp_path / "a.parquet", 3_000_000, use_dictionary=False, data_page_size=1 << 16,
        write_batch_size=1000,
    )  # fmt: skip
    with PointReader([str(path)], ReadOptions(memory_bytes=32 * MIB)) as reader:
        assert sum(len(b) for c in reader.chunks() for b in c.decode()) == 3_000_000


def test_columns_that_are_not_read_do_not_count(tmp_path):
    few, many = np.zeros(1000), pa.array(["x" * 30_000] * 1000)
    table = pa.table({"lat": few, "lon": few, "text": many})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, use_dictionary=False, **ONE_PAGE)
    with PointReader([str(path)], ReadOptions(memory_bytes=32 * MIB)) as reader:
        assert sum(len(b) for c in reader.chunks() for b in c.decode()) == 1000


def test_a_corrupt_page_header_is_an_input_error(tmp_path):
    path = write(tmp_path / "a.parquet", 3_000_000, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[4:40] = b"\xff" * 36
    path.write_bytes(data)
    with (
        PointReader([str(path)], ReadOptions(memory_bytes=32 * MIB)) as reader,
        pytest.raises(InputError, match="corrupt in row group 0"),
    ):
        list(next(reader.chunks()).decode())


def test_long_rows_are_decoded_in_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "USUAL_BYTES", 1 << 20)
    monkeypatch.setattr(parquet_module, "_LEAST_BATCH_ROWS", 10)
    values = np.zeros(1000)
    table = pa.table({"lat": values, "lon": values, "text": [f"{i:09999d}" for i in range(1000)]})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    options = ReadOptions(where=("text is not null",))
    with PointReader([str(tmp_path / "a.parquet")], options) as reader:
        sizes = [len(batch) for chunk in reader.chunks() for batch in chunk.decode()]
    assert sum(sizes) == 1000
    assert max(sizes) * 10_000 <= 1 << 20


@pytest.mark.parametrize("late", [True, False])
def test_repeated_values_are_long_once_they_are_decoded(late, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_module, "USUAL_BYTES", 1 << 20)
    values = np.zeros(1000)
    texts = ["x" * 9_999, "y" * 9_999] * 500
    pq.write_table(pa.table({"lat": values, "lon": values, "text": texts}), tmp_path / "a.parquet")
    options = ReadOptions(extra_columns=("*",), late_columns=late)
    with PointReader([str(tmp_path / "a.parquet")], options) as reader:
        for chunk in reader.chunks():
            batches = [batch.later() if late else batch.table for batch in chunk.decode()]
    assert sum(batch.num_rows for batch in batches) == 1000
    assert max(batch.nbytes for batch in batches) <= 1 << 20


@given(st.binary(max_size=60))
@settings(max_examples=60)
def test_garbage_is_a_thrift_error_or_a_structure(data):
    reader = CompactReader(data)
    try:
        found = reader.struct({1: None, 2: {1: None}, 3: {2: {1: None}}})
    except DamagedError:
        return
    assert set(found) <= {1, 2, 3}
    assert reader.position <= len(data)


@given(st.data())
@settings(max_examples=60)
def test_a_corrupt_footer_is_a_thrift_error_or_sizes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("footer") / "a.parquet"
    write(path, 100)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        need = need_of(path)
    except DamagedError:
        return
    assert need.largest_bytes <= need.total_bytes


def test_nesting_has_an_end():
    with pytest.raises(DamagedError, match="deep"):
        CompactReader(b"\x1c" * 1000).struct({})
    with pytest.raises(DamagedError, match="deep"):
        CompactReader(b"\x19" + b"\x19" * 1000).struct({})


class ToldCondition(threading.Condition):
    """Tells that a thread waits."""

    def __init__(self):
        super().__init__()
        self.is_waited_for = threading.Event()

    def wait(self, timeout=None):
        self.is_waited_for.set()
        return super().wait(timeout)


def test_a_thread_waits_for_room():
    room = Room(8 * USUAL_BYTES)
    room._freed = ToldCondition()
    held = []

    def second():
        with room.taken(USUAL_BYTES + 1):
            held.append(room.held_bytes)

    thread = threading.Thread(target=second)
    with room.taken(2 * USUAL_BYTES):
        thread.start()
        assert room._freed.is_waited_for.wait(60)
        assert held == []
    thread.join(60)
    assert held == [USUAL_BYTES + 1]
    assert room.held_bytes == 0


@pytest.mark.parametrize("limit", [None, 4 * USUAL_BYTES])
def test_usual_sizes_wait_for_nothing(limit):
    room = Room(limit)
    with room.taken(USUAL_BYTES), room.taken(USUAL_BYTES), room.taken(USUAL_BYTES):
        assert room.held_bytes == 0


def test_threads_shrink_to_fit():
    assert threads_that_fit(384 * MIB, 64) == 2
    assert threads_that_fit(LIBRARIES_BYTES, 64) == 1
    assert threads_that_fit(1 << 40, 64) == 64
    assert threads_that_fit(LIBRARIES_BYTES + 20 * THREAD_BYTES, 64) == 10


def write_ipc(path, rows, codec=None, batches=1):
    options = pa.ipc.IpcWriteOptions(compression=codec)
    make = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
    with make(path, REQUIRED, options=options) as writer:
        for _ in range(batches):
            values = pa.array(np.arange(rows) % 60, pa.float64())
            writer.write_batch(pa.record_batch([values, values], schema=REQUIRED))
    return path


def sizes_of(path):
    with path.open("rb", buffering=0) as file:
        return [batch_size(file, block) for block in record_batch_blocks(file)]


@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_a_record_batch_is_as_large_as_its_buffers(codec, tmp_path):
    sizes = sizes_of(write_ipc(tmp_path / "a.arrow", 8_000, codec, batches=3))
    assert len(sizes) == 3
    for size in sizes:
        if codec is None:
            assert (size.body_bytes, size.decompressed_bytes) == (128_000, 0)
        else:
            assert 0 < size.body_bytes < size.decompressed_bytes == 128_000
            assert size.total_bytes == size.body_bytes + 128_000
        assert size.largest_bytes == 128_000


def test_buffers_that_do_not_shrink_are_kept_as_they_are(tmp_path):
    noise = np.random.default_rng(1).bytes(80_000)
    table = pa.table({"lat": np.frombuffer(noise, np.int64), "name": ["a"] * 10_000})
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema, options=options) as writer:
        writer.write_table(table)
    (size,) = sizes_of(tmp_path / "a.arrow")
    assert 80_000 + 40_004 + 10_000 <= size.decompressed_bytes < 80_000 + 40_004 + 10_000 + 64


@pytest.mark.parametrize("codec", [None, "zstd"])
@pytest.mark.parametrize("suffix", [".arrow", ".arrows"])
def test_a_large_record_batch_is_refused_with_numbers(suffix, codec, tmp_path):
    path = write_ipc(tmp_path / f"a{suffix}", 600_000, codec)
    options = ReadOptions(memory_bytes=32 * MIB)
    with (
        PointReader([str(path)], options) as reader,
        pytest.raises(ResourceError, match=r"record batch 0 has 9 MiB, .* --max-memory 37MiB"),
    ):
        list(next(reader.chunks()).decode())


@pytest.mark.parametrize("suffix", [".arrow", ".arrows", ".parquet"])
def test_threads_take_turns_with_large_pieces(suffix, tmp_path, monkeypatch):
    for module in (room_module, ipc_module, parquet_module):
        monkeypatch.setattr(module, "USUAL_BYTES", 1000)
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        write(path, 30_000, row_group_size=5000, use_dictionary=False)
    else:
        write_ipc(path, 5000, batches=6)
    with PointReader([str(path)], ReadOptions(memory_bytes=400_000)) as reader:
        chunks, lock, most, rows = reader.chunks(), threading.Lock(), [], []

        def work():
            while True:
                with lock:
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                for batch in chunk.decode():
                    most.append(reader.room.held_bytes)
                    rows.append(len(batch))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sum(rows) == 30_000
        assert 0 < max(most) <= (100_000 if suffix != ".arrows" else 200_000)
        assert reader.room.held_bytes == 0


@given(st.data())
@settings(max_examples=60)
def test_corrupt_flatbuffers_are_an_error_or_sizes(tmp_path_factory, data):
    path = write_ipc(tmp_path_factory.mktemp("ipc") / "a.arrow", 10, "lz4", batches=2)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        sizes = sizes_of(path)
    except DamagedError:
        return
    assert all(isinstance(size.largest_bytes, int) for size in sizes)


def test_a_record_is_at_most_a_quarter_of_the_limit(tmp_path):
    path = tmp_path / "a.csv"
    for n, is_read in ((7 << 20, True), (9 << 20, False)):
        path.write_text("lat,lon,text\n1,2,3\n4,5," + "x" * n + "\n")
        with PointReader([str(path)], ReadOptions(memory_bytes=32 * MIB)) as reader:
            if is_read:
                assert sum(len(b) for c in reader.chunks() for b in c.decode()) == 2
            else:
                with pytest.raises(ResourceError, match="record longer than 8 MiB"):
                    list(reader.chunks())


def test_a_record_of_quotes_is_refused_with_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('lat,lon,text\n1,2,3\n4,5,"' + '""' * (20 << 20) + '"\n')
    with (
        PointReader([str(path)], ReadOptions(memory_bytes=384 * MIB)) as reader,
        pytest.raises(ResourceError, match=r"quotes .* eighth .* 384 MiB"),
    ):
        list(reader.chunks())
