"""The log of a search, run.log: all records of this process, those of libraries included."""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.node import regular

_LIBRARIES = ("ray", "optuna", "mlflow", "alembic")

_FORMAT = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"


class _LastingHandler(logging.FileHandler):
    """A handler that loses what a full disk does not take: it would print a traceback for each."""

    def _open(self) -> Any:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = regular.open_own(Path(self.baseFilename), flags)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        pass


@contextlib.contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Send all logging, the libraries' too, to this file instead of the screen.

    Raises:
        UserError: if it cannot be opened.
    """
    root = logging.getLogger()
    try:
        handler = _LastingHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(
            f"cannot write the log {path} ({error.strerror}); choose another folder with --out."
        ) from error
    formatter = logging.Formatter(_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def quiet_libraries() -> None:
    """Remove the handlers with which libraries print to the terminal once they are imported."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
