"""The report of a search, for a browser: python -m tune.report RUN_FOLDER

Every search writes one; this makes it again, also of a search that was killed or still runs.
"""

import dataclasses
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from cluster.node.stdout import until_unread
from tune.run_folder.folder import RunFolder

USER_ERROR = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Write report.html of a search into its folder: one file, to be opened in any browser."""

    folder: tyro.conf.Positional[Path]
    """A search's folder: runs/<name>-<date>-<time>, or what --out named."""


def write(folder: RunFolder) -> Path:
    """Write the report from the folder's record and journal; return its path.

    Raises:
        SpecError: if the folder is not a search's, or cannot be read.
        OSError: if the report cannot be written.
    """
    from cluster.node import atomic  # --help need not wait for Optuna
    from tune.report import page as report_page
    from tune.run_folder import record as run_record
    from tune.search import study

    record = run_record.read(folder)
    trials = study.read_trials(folder.journal)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    atomic.write_text(folder.report, report_page.render(record, trials, folder, now))
    return folder.report


@until_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    from tune.spec import SpecError

    options = tyro.cli(Options, args=arguments, prog="python -m tune.report")
    try:
        print(write(RunFolder(options.folder)))
    except SpecError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except OSError as error:
        print(f"error: the report cannot be written: {error}", file=sys.stderr)
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main())
