"""The content of a file by its first bytes and not by its suffix: text or a table, unpacked."""

import bz2
import codecs
import dataclasses
import gzip
import io
import lzma
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import IO, Any, Literal

import pyarrow as pa

from trainables.market.reading.rows import listed, shown
from trainables.workload import WorkloadInputError

HEAD_BYTES = 1 << 16
"""So many first bytes of a file decide what it is, and how its text is laid out."""

_PACKED: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
_STRANGERS = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"FEA1", "a Feather file of version 1"),
    (b"PARE", "an encrypted Parquet file"),
    (b"%PDF", "a PDF"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUL_SHARE = 0.4  # UTF-16 of plain text has a zero in every second byte


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A file, unpacked: its kind, its first bytes, and how to read it from its beginning.

    name: the file's, for messages. encoding: of a text, by Python's name. is_whole: whether `head`
    is all of it.
    """

    name: str
    kind: Literal["text", "parquet", "feather"]
    head: bytes
    is_whole: bool
    encoding: str
    opened: Callable[[], Any]

    @property
    def text(self) -> str:
        """The first characters of a text, without a byte order mark."""
        decoder = codecs.getincrementaldecoder(self.encoding)(errors="replace")
        return decoder.decode(self.head, final=self.is_whole).removeprefix("\ufeff")


def find_content(path: pathlib.Path) -> Unpacked:
    """Return what the file holds.

    Raises:
        WorkloadInputError: if there is no file, or it is of a kind that cannot be read.
        OSError, EOFError, lzma.LZMAError, zipfile.BadZipFile: if it is damaged.
    """
    if path.is_dir():
        raise WorkloadInputError(
            f"{path} is a folder; give one CSV, Parquet or Feather file of bars."
        )
    if not path.is_file():
        what = f"{path} is no regular file" if os.path.lexists(path) else f"there is no file {path}"
        raise WorkloadInputError(f"{what}; give a CSV, Parquet or Feather file of bars.")

    def opened() -> IO[bytes]:
        return path.open("rb")

    head, is_whole = _head_of(opened)
    packed = next((kind for magic, kind in _PACKED if head.startswith(magic)), None)
    if packed is None:
        return _classified(path.name, head, is_whole, lambda: str(path))

    def unpacked() -> Any:
        return _unpacked(path, packed)

    head, is_whole = _head_of(unpacked)
    return _classified(path.name, head, is_whole, unpacked)


def _head_of(opened: Callable[[], Any]) -> tuple[bytes, bool]:
    with opened() as file:
        head = bytes(file.read(HEAD_BYTES + 1))
    return head[:HEAD_BYTES], len(head) <= HEAD_BYTES


def _unpacked(path: pathlib.Path, packed: str) -> Any:
    if packed == "gzip":
        return gzip.open(path)  # it checks the sum at the end, which Arrow does not
    if packed == "bz2":
        return bz2.open(path)
    if packed == "xz":
        return lzma.open(path)
    if packed == "zip":
        return _only_member(path)
    return pa.input_stream(str(path), compression=packed)


def _only_member(path: pathlib.Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    members = [one for one in archive.infolist() if not one.is_dir()]
    if any(one.flag_bits & 1 for one in members):
        raise WorkloadInputError(f"{path.name} is locked by a password; unpack it.")
    names = [one.filename for one in members]
    if "[Content_Types].xml" in names:
        raise WorkloadInputError(f"{path.name} is an Excel workbook; save its sheet as CSV.")
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise WorkloadInputError(
            f"{path.name} is an archive of {len(names)} files ({listed(names)}); unpack it and "
            "give one of them."
        )
    return archive.open(names[0])


def _classified(name: str, head: bytes, is_whole: bool, opened: Callable[[], Any]) -> Unpacked:
    def content(kind: Literal["text", "parquet", "feather"], encoding: str = "utf-8") -> Unpacked:
        return Unpacked(
            name=name, kind=kind, head=head, is_whole=is_whole, encoding=encoding, opened=opened
        )

    if head.startswith(b"PAR1"):
        return content("parquet")
    if head.startswith(b"ARROW1"):
        return content("feather")
    if stranger := next((what for magic, what in _STRANGERS if head.startswith(magic)), None):
        raise WorkloadInputError(f"{name} is {stranger}; save it as CSV or Parquet.")
    text = content("text", _encoding_of(name, head))
    _refuse_other_texts(name, text.text.lstrip())
    return text


def _encoding_of(name: str, head: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        every_second, others = head[start::2], head[1 - start :: 2]
        if every_second.count(0) > _NUL_SHARE * len(head) and not others.count(0):
            return encoding
    if b"\x00" in head:
        raise WorkloadInputError(
            f"{name} is not a readable CSV, Parquet or Feather file: it is binary, and begins with "
            f"{head[:8]!r}; save it as CSV or Parquet."
        )
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _refuse_other_texts(name: str, text: str) -> None:
    begins = shown(text[:50])
    lower = text[:200].lower()
    if not text.strip("\x1a \r\n\t\x00"):
        raise WorkloadInputError(
            f"{name} is not a readable CSV, Parquet or Feather file: it is empty; export it again."
        )
    if lower.startswith(("<!doctype", "<html", "<?xml", "<head", "<body", "<script")):
        raise WorkloadInputError(
            f"{name} is a web page or XML and not bars: it begins with {begins}; download it again."
        )
    if lower.startswith(("{", "[{", "[[", "[\n", "[\r", "[ ")) or lower.rstrip() == "[]":
        raise WorkloadInputError(
            f"{name} is JSON, which is not read, and begins with {begins}; if it holds bars, "
            "convert it to CSV or Parquet."
        )


def in_memory(source: Any) -> Any:
    """Return what Arrow can seek in: the path as it is, a stream that was read to its end."""
    if isinstance(source, str):
        return source
    with source:
        return io.BytesIO(source.read())
