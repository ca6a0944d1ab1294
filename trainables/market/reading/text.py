"""The columns of a CSV, as many as are needed, by Arrow's reader."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv

from trainables.market.reading import numbers, timetext
from trainables.market.reading.content import Unpacked
from trainables.market.reading.layout import Layout, find_layout
from trainables.market.reading.rows import RowNames, listed, shown
from trainables.workload import WorkloadInputError

_NOT_OF_THE_TYPE = re.compile(r"conversion error to")
_DOT_MAY_MARK_THOUSANDS = ";\t|"  # with commas between the columns no country writes 1.000 for 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextTable:
    """A CSV whose layout is known; its columns are read when they are asked for."""

    content: Unpacked
    layout: Layout

    @classmethod
    def of(cls, content: Unpacked) -> "TextTable":
        """Return the table of a text.

        Raises:
            WorkloadInputError: if its layout cannot be told.
        """
        text = content.text
        return cls(
            content=content, layout=find_layout(text, content.name, is_whole=content.is_whole)
        )

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        return self.layout.names

    @property
    def tickers(self) -> Sequence[str]:
        """The instrument of each column, "" where none is said."""
        return self.layout.tickers

    @property
    def rows(self) -> RowNames:
        """The names of the rows in messages."""
        return RowNames(file=self.content.name, under_header=self.layout.has_header)

    def read(
        self, texts: Sequence[int], values: Sequence[int], *, time: int | None = None
    ) -> tuple[dict[int, pa.ChunkedArray], str]:
        """Read columns by position: as text, and as numbers where they are written plainly.

        The column `time` holds whole times, which Arrow parses as it reads where it can.
        Returns the columns, and a note on lines below the last row or "".

        Raises:
            WorkloadInputError: if a row has more or fewer cells than there are columns.
            pyarrow.ArrowInvalid: if the text is no CSV.
        """
        cells = [cell for i in values for cell in self._sample_of(i)]
        is_sure = not self._dots_may_mark_thousands or numbers.show_decimals(cells)
        plain = is_sure and numbers.is_plain(cells)
        types = {i: pa.string() for i in texts}
        if time is not None:
            types[time] = timetext.type_of(self._sample_of(time))
        types |= {i: pa.float64() if plain else pa.string() for i in values}
        try:
            return self._read(types)
        except pa.ArrowInvalid as error:
            if not _NOT_OF_THE_TYPE.search(str(error)):
                raise
        return self._read(dict.fromkeys(types, pa.string()))  # the cell that is odd is named later

    def _sample_of(self, position: int) -> list[str]:
        return [row[position] for row in self.layout.sample if position < len(row)]

    @property
    def points_are_decimal(self) -> bool:
        """Truth of "10.000" being ten here."""
        return not self._dots_may_mark_thousands

    @property
    def _dots_may_mark_thousands(self) -> bool:
        from_metatrader = self.layout.delimiter == "\t" and self.names[0].startswith("<")
        return self.layout.delimiter in _DOT_MAY_MARK_THOUSANDS and not from_metatrader

    def _read(self, types: Mapping[int, pa.DataType]) -> tuple[dict[int, pa.ChunkedArray], str]:
        skipped: list[Any] = []

        def keep_aside(row: Any) -> str:
            skipped.append(row)
            return "skip" if len(skipped) < 100 else "error"

        encoding = self.content.encoding.removesuffix("-sig")
        table = pyarrow.csv.read_csv(
            self.content.opened(),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,  # threads are what we ration
                column_names=[str(i) for i in range(len(self.names))],
                skip_rows=self.layout.skipped_lines,
                encoding=encoding,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.layout.delimiter, invalid_row_handler=keep_aside
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=[str(i) for i in types],
                column_types={str(i): kind for i, kind in types.items()},
            ),
        )
        note = self._note_on(skipped, table.num_rows)
        return {i: table.column(str(i)) for i in types}, note

    def _note_on(self, skipped: Sequence[Any], num_rows: int) -> str:
        """Return a note on the lines below the last row, which are no rows.

        Raises:
            WorkloadInputError: if a line that is no row is between rows, or looks like one.
        """
        if not skipped:
            return ""
        first = skipped[0]
        row = first.number - self.layout.skipped_lines  # it counts lines, from 1
        is_footer = row > num_rows and all(one.actual_columns == 1 for one in skipped)
        if not is_footer or re.match(r"\s*\d", first.text):
            raise WorkloadInputError(
                f"{self.content.name} is not a readable CSV, Parquet or Feather file: "
                f"{self.rows.name(row - 1)} has {first.actual_columns} cells and not "
                f"{first.expected_columns}: {shown(first.text)}; correct or drop the line."
            )
        texts = [one.text.strip("\x1a \r\n\"'") for one in skipped]
        said = [shown(text) for text in texts if text]
        return f"Below the last row stands {listed(said)}, which was left out." if said else ""
