"""The writing of report.html, from the record and the journal in a search's folder."""

import datetime
from pathlib import Path

from cluster.node import atomic
from tune.report import page
from tune.run_folder import record
from tune.run_folder.folder import RunFolder
from tune.search import study


def write_report(folder: RunFolder) -> Path:
    """Write the report from the folder's record and journal; return its path.

    Raises:
        UserError: if the folder is not a search's, or cannot be read.
        OSError: if the report cannot be written.
    """
    kept, trials = record.read(folder), study.read_trials(folder.journal)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    atomic.write_text(folder.report, page.render(kept, trials, folder, now))
    return folder.report
