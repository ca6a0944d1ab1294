"""All that is settled before a search's first trial, on a CPU machine that is fit."""

from pathlib import Path

import factories
from simulated_search import BASELINE, SPACE
from tune.prepare import Prepared
from tune.run_folder.folder import RunFolder
from tune.screen.screen import Screen
from tune.spec import SearchSpec


def prepared(folder: Path) -> Prepared:
    machine = factories.preflight()
    assert machine.thread_env is not None
    return Prepared(
        spec=SearchSpec(profiles=folder / "profiles"),
        task=factories.task(),
        preflight=machine,
        caps=machine.thread_env,
        space=SPACE,
        baseline=BASELINE,
        baseline_called="the framework default",
        recommended=(),
        levers=(),
        folder=RunFolder(folder),
        resume=False,
        screen=Screen(as_json=True),
        hardware_class=None,
    )
