"""Files of bars."""

import pathlib

import pytest

from good_bars import HEADER


@pytest.fixture
def write(tmp_path: pathlib.Path):
    def write_csv(rows: list[str], header: str = HEADER) -> pathlib.Path:
        path = tmp_path / "bars.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write_csv
