"""The log of a search, run.log: all records of this process, those of libraries included."""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

_LIBRARIES = ("ray", "optuna", "mlflow", "alembic")

_FORMAT = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"


@contextlib.contextmanager
def run_log(path: Path) -> Iterator[None]:
    """Send all logging, the libraries' too, to this file instead of the screen."""
    root = logging.getLogger()
    handler = logging.FileHandler(path, encoding="utf-8")
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
