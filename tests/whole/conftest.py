"""A place for faults, which is looked at after each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fault_place import Place, tidy_place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield a place, and see at the end that no process and no temporary file is left."""
    with tidy_place(tmp_path) as made:
        yield made
