"""Files by their content, whatever they are called."""

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pyarrow.parquet
import pytest

from exports import EXPORTS, csv_of, moments, saved
from trainables.market.bars import load_bars
from trainables.market.reading.content import find_content
from trainables.workload import WorkloadInputError

TEXT = csv_of(moments())
PARQUET = (EXPORTS / "x.parq").read_bytes()
FEATHER = (EXPORTS / "freqtrade.feather").read_bytes()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet", "bars", "bars.dat"])
@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\n\n").encode(),
        TEXT.encode() + b"\x1a",
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT.encode("utf-16")),
        bz2.compress(TEXT.encode()),
        lzma.compress(TEXT.encode()),
        pa.compress(TEXT.encode(), codec="zstd", asbytes=True),
        zipped(bars=TEXT.encode()),
        PARQUET,
        gzip.compress(PARQUET),
        zipped(bars=PARQUET),
        FEATHER,
        gzip.compress(FEATHER),
    ],
)
def test_bars_are_read_by_their_content(tmp_path, name, content):
    bars = load_bars(saved(tmp_path, content, name))
    assert (len(bars), str(bars.time[0])[:16], bars.close[0]) == (300, "2024-01-02T14:30", 100.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\n <HTML><body>", "is a web page"),
        (b"<?xml version='1.0'?>", "is a web page or XML"),
        (b'{"error": 1}', "is JSON.*error"),
        (b'[{"t": 1}]', "is JSON"),
        (b"[]", "is JSON"),
        (b"\xd0\xcf\x11\xe0" + bytes(50), "is an Excel workbook"),
        (zipped(**{"[Content_Types].xml": b""}), "is an Excel workbook"),
        (zipped(a=b"1", b=b"2"), "is an archive of 2 files \\(a, b\\); unpack"),
        (zipped(), "is an archive of 0 files"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"SQLite format 3\x00", "is an SQLite database"),
        (b"a.csv" + bytes(300) + b"ustar", "it is binary"),
        (bytes(range(256)), "it is binary"),
        (TEXT.encode() + bytes(100), "it is binary"),
        (gzip.compress(TEXT.encode())[:-200], "is not a readable"),
        (gzip.compress(TEXT.encode())[:-6] + b"123456", "is not a readable"),
        (gzip.compress(gzip.compress(TEXT.encode())), "it is binary"),
        (PARQUET[:-50], "is not a readable"),
        (PARQUET[:600] + bytes(300) + PARQUET[900:], "is not a readable"),
        (FEATHER[:-200], "is not a readable"),
    ],
)
def test_what_holds_no_bars_is_refused_as_what_it_is(tmp_path, content, message):
    with pytest.raises(WorkloadInputError, match=message) as error:
        load_bars(saved(tmp_path, content))
    assert len(str(error.value)) < 300


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(WorkloadInputError, match="is a folder; give one CSV, Parquet or Feather"):
        find_content(tmp_path)


@pytest.mark.parametrize("column", ["name", "symbol", "Währung"])
def test_latin_1_in_a_column_that_nobody_reads_or_all_rows_share(tmp_path, column):
    lines = TEXT.splitlines()
    text = "\n".join([f"{lines[0]},{column}", *(f"{line},Zürich" for line in lines[1:])])
    assert len(load_bars(saved(tmp_path, text.encode("latin-1")))) == 300


def test_latin_1_that_begins_late_in_a_file(tmp_path):
    text = csv_of(moments(count=5000), header="timestamp,open,high,low,close,volume,x")
    lines = [f"{line},ascii" if row else line for row, line in enumerate(text.splitlines())]
    lines[-1] = lines[-1].replace("ascii", "Zürich")
    assert len(load_bars(saved(tmp_path, "\n".join(lines).encode("latin-1")))) == 5000
