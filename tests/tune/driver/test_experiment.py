"""A search's own Ray, on machines that are not quite well."""

import os
import subprocess
import sys
from pathlib import Path

from places import PYTHONPATH

SEARCH = """
import os, sys, tempfile
from pathlib import Path
from cluster.node import ray_env

ray_env.exec_into(ray_env.environment(os.environ, private=True))
import ray
from ray._private.thirdparty import pynvml
from ray.tune.search import Searcher
from fake_nvml import card, fake_nvml
from tune.driver import experiment
from tune.driver.hosts.places import LocalPlaces

vars(pynvml).update(vars(fake_nvml([card(errors={"handle": 15}), card()])))
pynvml.nvmlShutdown = lambda: None

class AtItsEnd(Searcher):
    busy, is_silent, is_unwritable, finished = tuple, lambda self: False, False, True

    def suggest(self, trial_id):
        print("gives away", ray.cluster_resources()["GPU"])
        return Searcher.FINISHED

with tempfile.TemporaryDirectory(dir=ray_env.prepare(os.environ)) as folder:
    ending = experiment.run(
        AtItsEnd(),
        experiment.RaySettings(
            places=LocalPlaces(on_gpu=True, note=print),
            dashboard=False,
            private=Path(folder),
            folder=Path(sys.argv[1]),
        ),
        on_dashboard=print,
        on_folder=lambda folder: None,
        conclude=lambda ending: 1,
        callbacks=[],
    )
print(ending)
"""


def test_ray_starts_where_the_first_of_the_gpus_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, tmp_path],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["gives away 1.0", "Ending.FINISHED"]
