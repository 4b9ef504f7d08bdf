"""CSV reading: rows, reasons, records, lines and texts against Python's csv module."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridcli.errors import InputError, ResourceError, UsageError
from gridcli.points import csvblocks
from gridcli.points.batch import Reason
from gridcli.points.csv import CsvFile, open_csv
from gridcli.points.csvrecords import RecordIndex, last_record_end
from gridcli.points.filters import RowFilter
from gridcli.points.plan import ColumnPlan, Compression, Input, ReadOptions
from tests import naive

if TYPE_CHECKING:
    from collections.abc import Callable

COMPRESS: dict[Compression | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


class Table:
    """A file as `open_csv` reads it: all chunks, one after the other."""

    def __init__(self, file: CsvFile, plan: ColumnPlan) -> None:
        self.rows: list[tuple[Any, Any, int]] = []
        self.places: list[tuple[int, int, str]] = []
        self.ragged: list[tuple[int, int, str]] = []
        self.table: list[dict[str, Any]] = []
        self.n_bytes: list[int] = []
        self.units: set[Fraction | None] = set()
        records = lines = 0
        for chunk in file.chunks(plan, 0):
            assert chunk.chunk_index == len(self.n_bytes)
            self.n_bytes.append(chunk.n_bytes)
            for batch in chunk.decode():
                reason = [0] * len(batch) if batch.reason is None else batch.reason.tolist()
                self.rows += zip(batch.x.tolist(), batch.y.tolist(), reason, strict=True)
                self.units.add(batch.unit)
                self.ragged += [(records + r, lines + n, text) for r, n, text in batch.ragged]
                if batch.origin is not None:
                    self.places += [
                        (
                            records + batch.origin.record(row),
                            lines + batch.origin.line(row),
                            batch.origin.text(row),
                        )
                        for row in range(len(batch))
                    ]
                if batch.table is not None:
                    assert batch.table.num_rows == len(batch)
                    self.table += batch.table.to_pylist()
                records += len(batch) + len(batch.ragged)
            lines += chunk.n_lines
        file.close()
        file.close()


def read(
    data: bytes,
    plan: ColumnPlan | None = None,
    *,
    name: str = "test.csv",
    columns: tuple[str, ...] | None = None,
    compression: Compression | None = None,
    partitions: dict[str, str] | None = None,
    block_bytes: int = csvblocks.BLOCK_BYTES,
) -> Table:
    source = Input(name, None, len(data), "csv", compression, partitions or {})
    options = ReadOptions(columns=columns)
    file = open_csv(source, options, io.BytesIO(data), block_bytes)
    return Table(file, plan or ColumnPlan("lon", "lat", keep_origin=True))


def save(tmp_path: Path, name: str, data: bytes, compression: Compression | None = None) -> Input:
    path = tmp_path / name
    path.write_bytes(data)
    return Input(name, path, len(data), "csv", compression)


# --- Laws -----------------------------------------------------------------------------------------

plain_cells = st.sampled_from(
    ["1", "2.5", "-3e1", "+4", " 5 ", "", "NA", "null", "x", "inf", "nan", "1e999", "é"]
)
quoted_cells = st.text('1a", \n\r;é', max_size=5).map(lambda s: '"' + s.replace('"', '""') + '"')
odd_cells = st.sampled_from(['5" x', '"a"b', '"a"b"c', 'x""y', '"', '"a', '1"', '""', '"1"'])
any_cell = st.one_of(plain_cells, plain_cells, quoted_cells, odd_cells)
records = st.one_of(
    st.lists(any_cell, min_size=3, max_size=3),
    st.lists(plain_cells, min_size=3, max_size=3),
    st.lists(any_cell, max_size=5),
).map(",".join)
line_ends = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", "\r\n\r\n"])
structured = st.lists(st.tuples(records, line_ends), max_size=12).map(
    lambda parts: "".join(record + end for record, end in parts)
)
contents = st.one_of(
    structured, structured.map(lambda text: text.rstrip("\r\n")), st.text('1a,"\n\r', max_size=30)
)


@given(
    content=contents,
    before=st.sampled_from(["", "\ufeff", "\n", "\ufeff\r\n\r\n"]),
    header=st.sampled_from(["lat,lon,n\n", '"lat" ,lon,"n"\r\n', 'lat,lon,"n"\r\n']),
    extra=st.sampled_from([(), ("n",), ("lat", "n")]),
    block_bytes=st.integers(1, 40),
    compression=st.sampled_from(list(COMPRESS)),
    cut=st.integers(0, 100),
)
@example('5" x,1,2\n"a\nb",1,2\n1,2,"c\n', "", "lat,lon,n\n", (), 7, None, 0)
@settings(max_examples=60, deadline=None)
def test_any_content_reads_as_python_reads_it(
    content: str,
    before: str,
    header: str,
    extra: tuple[str, ...],
    block_bytes: int,
    compression: Compression | None,
    cut: int,
) -> None:
    data = (before + header + content).encode()
    packed = COMPRESS[compression](data[:cut]) + COMPRESS[compression](data[cut:])
    oracle = naive.csv_records((before + header + content).lstrip("\ufeff"), ",")[1:]

    # Without extra columns the kernel reads, with them Arrow does, and of texts the grammar.
    plan = ColumnPlan("lon", "lat", extra=extra, keep_origin=True)
    table = read(packed, plan, compression=compression, block_bytes=block_bytes)

    assert sum(table.n_bytes) == len(packed)
    places = [(k + 1, record.line, record.text) for k, record in enumerate(oracle)]
    is_row = [len(record.cells) == 3 for record in oracle]
    assert table.places == [place for place, keep in zip(places, is_row, strict=True) if keep]
    assert table.ragged == [place for place, keep in zip(places, is_row, strict=True) if not keep]
    for record, (x, y, reason) in zip(
        (r for r, keep in zip(oracle, is_row, strict=True) if keep), table.rows, strict=True
    ):
        (y_kind, y_value), (x_kind, x_value) = map(naive.read_number, record.cells[:2])
        if "null" in {x_kind, y_kind}:
            assert reason == Reason.NULL
        elif "text" in {x_kind, y_kind}:
            assert reason == Reason.NOT_A_NUMBER or not (math.isfinite(x) and math.isfinite(y))
        else:
            assert (x, y, reason) == (x_value, y_value, 0)


@given(content=st.text('1a,"\n\r', max_size=40))
@settings(max_examples=60, deadline=None)
def test_cuts_fall_between_records(content: str) -> None:
    end = last_record_end(content.encode(), b",")
    whole = [r.text for r in naive.csv_records(content, ",")]
    parts = [
        r.text for part in (content[:end], content[end:]) for r in naive.csv_records(part, ",")
    ]
    assert parts == whole
    assert "\n" not in content[end:] or len(naive.csv_records(content[end:], ",")) <= 1 + content[
        end:
    ].count("\r")


@given(content=contents.filter(bool))
@settings(max_examples=60, deadline=None)
def test_every_record_has_its_line_and_text(content: str) -> None:
    index = RecordIndex(content.encode(), b",", 10)
    for k, record in enumerate(naive.csv_records(content, ",")):
        assert index.text(k + 1) == record.text
        assert index.line(k + 1) == 10 + record.line


@given(
    rows=st.lists(st.tuples(any_cell, any_cell, any_cell), max_size=8),
    block_bytes=st.integers(1, 60),
)
@settings(max_examples=40, deadline=None)
def test_text_columns_are_as_written_but_empty_is_null(
    rows: list[tuple[str, str, str]], block_bytes: int
) -> None:
    content = "".join(",".join(row) + "\n" for row in rows)
    oracle = [r.cells for r in naive.csv_records("lat,lon,n\n" + content, ",") if len(r.cells) == 3]
    plan = ColumnPlan("lon", "lat", extra=("n", "lat"))
    table = read(("lat,lon,n\n" + content).encode(), plan, block_bytes=block_bytes)
    assert [(row["n"], row["lat"]) for row in table.table] == [
        (cells[2] or None, cells[0] or None) for cells in oracle[1:]
    ]


# --- Delimiters and headers ----------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("columns", [None, ("lat", "lon", "n")])
def test_delimiter_is_found(delimiter: str, columns: tuple[str, ...] | None) -> None:
    lines = [["1.5", "2", "a"], ["3", "4", "b"]]
    if columns is None:
        lines.insert(0, ["lat", " lon ", "a b"])
    text = "\n".join(delimiter.join(line) for line in lines)
    assert read(text.encode(), columns=columns).rows == [(2.0, 1.5, 0), (4.0, 3.0, 0)]


def test_delimiters_in_quotes_do_not_count() -> None:
    assert read(b'lat;lon;"a,b,c,d"\n1;2;3\n').rows == [(2.0, 1.0, 0)]


def test_decimal_commas_do_not_decide_a_headerless_file() -> None:
    table = read(b"48,1;11,5;x,y,z\n", columns=("lat", "lon", "n"))
    assert [reason for *_, reason in table.rows] == [Reason.NOT_A_NUMBER]


@pytest.mark.parametrize("name", ["a.tsv", "b.TSV.gz"])
def test_suffix_tsv_means_tabs(name: str) -> None:
    assert read(b"lat\tlon\ta,b,c,d,e\n1\t2\t3\n", name=name).rows == [(2.0, 1.0, 0)]


def test_schema_holds_texts_and_partitions(tmp_path: Path) -> None:
    source = Input("t.csv", None, 0, "csv", None, {"day": "2024-05-01", "n": "9"})
    file = open_csv(source, ReadOptions(), io.BytesIO(b"lat,lon,n\n"))
    assert file.schema == pa.schema([(c, pa.string()) for c in ("lat", "lon", "n", "day")])


def test_header_only_is_no_row() -> None:
    for data in (b"lat,lon", b"lat,lon\n", b"\xef\xbb\xbflat,lon\r\n\r\n"):
        table = read(data)
        assert table.rows == []
        assert sum(table.n_bytes) == len(data)


@pytest.mark.parametrize("data", [b"", b"\n\r\n", b"\xef\xbb\xbf"])
def test_empty_file(data: bytes) -> None:
    with pytest.raises(InputError, match=r"test\.csv: is empty"):
        read(data)
    assert read(data, columns=("lat", "lon")).rows == []


def test_numbers_in_the_header_ask_for_columns() -> None:
    with pytest.raises(UsageError, match=r"48\.1,11\.5,7.*--columns lat,lon,c3"):
        read(b"48.1,11.5,7\n48.2,11.6,8\n")


def test_columns_must_fit() -> None:
    with pytest.raises(UsageError, match=r"names 2 columns \(lat, lon\).*3 cells: 1,2,3"):
        read(b"1,2,3\n", columns=("lat", "lon"))


def test_duplicate_names_matter_only_where_needed() -> None:
    data = b"lat,lon,n,n\n1,2,3,4\n"
    assert read(data).rows == [(2.0, 1.0, 0)]
    with pytest.raises(UsageError, match="2 columns are called 'n'"):
        read(data, ColumnPlan("lon", "lat", extra=("n",)))
    with pytest.raises(UsageError, match="no column 'z'"):
        read(data, ColumnPlan("lon", "z"))


# --- What filters, outputs and --scale need -------------------------------------------------------


def test_filters_come_first_and_see_texts() -> None:
    data = b"lat,lon,n,code\n1,2,10,NA\nx,2,9,DE\n,2,11,\n5,6,10.0,NA\n"
    row_filter = RowFilter.parse(("n >= 10", "code = 'NA'"))
    table = read(data, ColumnPlan("lon", "lat", row_filter=row_filter))
    assert [r for *_, r in table.rows] == [0, Reason.FILTERED, Reason.FILTERED, 0]


def test_filter_on_a_coordinate_and_on_a_partition() -> None:
    data = b"lat,lon\n1,2\n3,4\n"
    row_filter = RowFilter.parse(("lat > 1", "day = '2024-05-01'"))
    plan = ColumnPlan("lon", "lat", row_filter=row_filter, extra=("day", "lat"))
    table = read(data, plan, partitions={"day": "2024-05-01", "lat": "9"})
    assert table.rows == [(2.0, 1.0, Reason.FILTERED), (4.0, 3.0, 0)]
    assert table.table == [{"day": "2024-05-01", "lat": "1"}, {"day": "2024-05-01", "lat": "3"}]
    hive_null = read(data, plan, partitions={"day": "__HIVE_DEFAULT_PARTITION__"})
    assert [r for *_, r in hive_null.rows] == [Reason.FILTERED] * 2
    assert hive_null.table[0]["day"] is None


def test_scaled_coordinates_stay_integers() -> None:
    unit = Fraction(1, 10**7)
    plan = ColumnPlan("lon", "lat", scale=unit)
    for extra in (b"", b"0x10,5\n"):
        table = read(b"lat,lon\n481234567,-9007199254740993\n" + extra, plan)
        assert table.rows[0] == (-9007199254740993, 481234567, 0)
        assert table.units == {unit}
    assert table.rows[1][2] == Reason.NOT_A_NUMBER


# --- Bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(encoding: str) -> None:
    with pytest.raises(InputError, match=r"test\.csv.*UTF-16"):
        read("lat,lon\n1,2\n".encode(encoding))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gzip.compress(b"lat,lon\n"), "gzip"),
        (b"PAR1....", "Parquet"),
        (b"PK\x03\x04....", "zip"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "binary"),
    ],
)
def test_binary_file(data: bytes, kind: str) -> None:
    with pytest.raises(InputError, match=kind):
        read(data)


@pytest.mark.parametrize("compression", ["gz", "zst", "bz2"])
def test_truncated_and_corrupt_files_name_the_byte(
    tmp_path: Path, compression: Compression
) -> None:
    text = b"lat,lon\n" + b"".join(b"%d.5,%d\n" % (k * k % 89, k % 179) for k in range(30_000))
    packed = COMPRESS[compression](text)
    whole = save(tmp_path, "whole", packed + packed, compression)
    assert len(Table(open_csv(whole, ReadOptions()), ColumnPlan("lon", "lat")).rows) == 60_001
    cut = save(tmp_path, "cut", packed[:-9], compression)
    with pytest.raises(InputError, match=f"cut: the file ends at byte {len(packed) - 9:,}"):
        Table(open_csv(cut, ReadOptions()), ColumnPlan("lon", "lat"))
    broken = save(tmp_path, "broken", b"no such data" * 9, compression)
    with pytest.raises(InputError, match=f"broken: the {compression} data is corrupt .* byte"):
        open_csv(broken, ReadOptions())


def test_unreadable_files(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        source = Input(path.name, path, None, "csv")
        with pytest.raises(InputError, match=path.name):
            open_csv(source, ReadOptions())


def test_latin_1_matters_only_where_needed() -> None:
    data = "lat,lon,name,n\n1,2,café,5\n3,4\n\xff,4,ü,6\n".encode("latin-1")
    table = read(data)
    assert table.rows[0] == (2.0, 1.0, 0)
    assert table.rows[1][2] == Reason.NOT_A_NUMBER
    assert table.ragged == [(2, 3, "3,4")]
    assert table.places[0] == (1, 2, "1,2,caf\ufffd,5")
    with pytest.raises(InputError, match="column name is not in UTF-8"):
        read(data, ColumnPlan("lon", "lat", extra=("name",)))


def test_a_line_of_ten_megabytes() -> None:
    long = b"a" * 10_000_000
    table = read(b"lat,lon,n\n1,2," + long + b"\n3,4,b\n", block_bytes=1 << 20)
    assert table.rows == [(2.0, 1.0, 0), (4.0, 3.0, 0)]
    assert len(table.places[0][2]) == 10_000_004


def test_a_first_line_of_ten_megabytes() -> None:
    long = b"a" * 10_000_000
    with pytest.raises(InputError, match=r"test\.csv: the first line is no header"):
        read(long)
    with pytest.raises(InputError, match=r"a quote|one of its quotes is never closed"):
        read(b'lat,lon,"n\n1,2,3\n')
    data = b"1;2;" + long + b"\n3;4;b\n"
    assert read(data, columns=("lat", "lon", "n")).rows == [(2.0, 1.0, 0), (4.0, 3.0, 0)]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (b'lat,lon,5" pipe\n', ["lat", "lon", '5" pipe']),
        (b'"lat","lon","a\nb"\n', ["lat", "lon", "a\nb"]),
        (b"lat,lon,\r", ["lat", "lon", ""]),
        (b"lat,lon," + b"n" * 300_000 + b"\n", ["lat", "lon", "n" * 300_000]),
        ("lat,lon,Größe".encode("latin-1"), ["lat", "lon", "Gr\ufffd\ufffde"]),
    ],
)
def test_odd_headers(header: bytes, names: list[str]) -> None:
    for after in (b"", b"\n1,2,3"):
        source = Input("t.csv", None, None, "csv")
        file = open_csv(source, ReadOptions(), io.BytesIO(header + after))
        assert file.schema.names == names
        assert len(Table(file, ColumnPlan("lon", "lat")).rows) == (1 if after else 0)


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_record_beyond_the_limit(monkeypatch: pytest.MonkeyPatch, quote: bytes) -> None:
    monkeypatch.setattr(csvblocks, "RECORD_LIMIT_BYTES", 1 << 20)
    fits = b"lat,lon,n\n1,2," + b"a" * ((1 << 20) - 5) + b"\n3,4,b\n"
    assert len(read(fits, block_bytes=1 << 16).rows) == 2
    data = b"lat,lon,n\n1,2," + quote + (b"a" if not quote else b"a\n") * (1 << 20) + b"\n3,4,b\n"
    with pytest.raises(ResourceError, match=r"test\.csv: a record longer than 1 MiB.*'1,2,"):
        read(data, block_bytes=1 << 16)


def test_oracle_agrees_with_the_csv_module() -> None:
    text = 'a,"b\n""c",d\r\n\r\n1,2\n'
    cells = [record.cells for record in naive.csv_records(text, ",")]
    assert cells == [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert [record.line for record in naive.csv_records(text, ",")] == [1, 4]
