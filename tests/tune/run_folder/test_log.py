"""The log of a run, and a logging that is afterwards as before."""

import logging
import warnings
from pathlib import Path

from tune.run_folder.log import run_log


def test_the_run_log_has_messages_and_warnings_and_lets_go_of_logging(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with run_log(path):
        logging.getLogger("tune.somewhere").info("trial 3 ends")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("an old API", stacklevel=1)
    assert (root.level, list(root.handlers)) == before
    lines = path.read_text()
    assert "Z INFO tune.somewhere: trial 3 ends" in lines
    assert "an old API" in lines
