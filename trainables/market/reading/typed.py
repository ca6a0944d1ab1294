"""The columns of a Parquet or Feather file, as many as are needed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from trainables.market.reading.content import Unpacked, in_memory
from trainables.market.reading.instruments import split_names
from trainables.market.reading.rows import RowNames


@dataclasses.dataclass(frozen=True, kw_only=True)
class TypedTable:
    """A file whose columns have names and types; they are read when they are asked for."""

    file: str
    kind: str
    source: Any
    labels: tuple[str, ...]

    @classmethod
    def of(cls, content: Unpacked) -> "TypedTable":
        """Return the table of a Parquet or Feather file.

        Raises:
            pyarrow.ArrowInvalid, OSError: if the file is damaged.
        """
        source = in_memory(content.opened())
        if content.kind == "parquet":
            schema = pyarrow.parquet.read_schema(source)
        else:
            with pa.ipc.open_file(source) as reader:
                schema = reader.schema
        return cls(file=content.name, kind=content.kind, source=source, labels=tuple(schema.names))

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        return split_names(self.labels)[0]

    @property
    def tickers(self) -> Sequence[str]:
        """The instrument of each column, "" where none is said."""
        return split_names(self.labels)[1]

    @property
    def rows(self) -> RowNames:
        """The names of the rows in messages."""
        return RowNames(file=self.file)

    @property
    def points_are_decimal(self) -> bool:
        """Truth of "10.000" being ten here."""
        return True

    def read(
        self, texts: Sequence[int], values: Sequence[int], *, time: int | None = None
    ) -> tuple[dict[int, pa.ChunkedArray], str]:
        """Read columns by position, with the types that they have, `time` too. The note is "".

        Raises:
            pyarrow.ArrowException, OSError: if the file is damaged.
        """
        wanted = [*texts, *values, *([] if time is None else [time])]
        labels = list(dict.fromkeys(self.labels[i] for i in wanted))
        if not isinstance(self.source, str):
            self.source.seek(0)
        if self.kind == "parquet":
            # Not read_table, which imports datasets, and they pandas.
            with pyarrow.parquet.ParquetFile(self.source) as opened:
                table = opened.read(columns=labels, use_threads=False)
        else:
            table = pyarrow.feather.read_table(self.source, columns=labels, use_threads=False)
        return {i: table.column(self.labels[i]) for i in wanted}, ""
