"""The report of a search, for a browser: python -m tune.report RUN_FOLDER

Every search writes one; this makes it again, also of a search that was killed or still runs.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from cluster import cli
from cluster.errors import UserError
from tune.run_folder.folder import RunFolder


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Write report.html of a search into its folder: one file, to be opened in any browser."""

    folder: tyro.conf.Positional[Path]
    """A search's folder: runs/<name>-<date>-<time>, or what --out named."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return cli.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = tyro.cli(ReportOptions, args=arguments, prog="python -m tune.report")
    from tune.report.write import write_report  # lazy, so that --help does not wait for Optuna

    try:
        print(write_report(RunFolder(options.folder)))
    except OSError as error:
        raise UserError(f"the report cannot be written: {error}") from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
