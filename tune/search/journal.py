"""The file under Optuna's journal: one line per event, each whole or cut off. Stdlib only."""

import os
from pathlib import Path
from typing import IO

from cluster.node import regular

_CHUNK_BYTES = 2**16


def mend_end(journal: Path) -> None:
    """Cut off a last line that a full disk or a power cut tore.

    What was appended to it would make the line, and so the whole journal, unreadable. Optuna's own
    lock goes too: its holder died with the search. Call it only as the holder of the search's lock.

    Raises:
        OSError: if the journal is no regular file, or cannot be written.
    """
    with os.fdopen(regular.open_own(journal, os.O_RDWR), "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        whole = _end_of_last_line(file, end)
        if whole < end:
            file.truncate(whole)
            os.fsync(file.fileno())
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)


def _end_of_last_line(file: IO[bytes], end: int) -> int:
    while end > 0:
        start = max(0, end - _CHUNK_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
