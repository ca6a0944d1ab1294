"""The working directory of a search, for hosts of a cluster that have nothing of it.

Ray sends it once and unpacks it on each host. It has our packages, and beside them a folder with
the modules, scripts and data files that the person's training is known to need.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.node import raylets, source
from cluster.pages import units
from trainables.travelled import PERSONS_FOLDER, Travelled
from trainables.workload_source import source_files
from tune.driver.hosts.joined import files_of
from tune.spec import Task

_MOST_BYTES = 500 * 2**20  # Ray refuses packages above 512 MiB
_VARIABLES = {
    # Tune would move a trial into a folder of its own, away from the person's modules.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # For a task that asks for no GPU, as the preflight, Ray would hide all.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # NVML counts GPUs so, and CUDA by itself the fastest first.
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
}


def of_job(environ: Mapping[str, str]) -> str | None:
    """Return the working directory that `ray job submit` gave this process, `None` for none."""
    config = json.loads(environ.get(raylets.JOB_CONFIG) or "{}")
    found: str | None = (config.get("runtime_env") or {}).get("working_dir")
    return found


@contextlib.contextmanager
def prepared(
    task: Task, environ: Mapping[str, str]
) -> Iterator[tuple[dict[str, Any], Travelled | None]]:
    """Yield the runtime_env for `task`, and the files that travel with it.

    A job that brings a working directory keeps it: what a search needs is in there.

    Raises:
        UserError: if the files are more than Ray takes.
    """
    if of_job(environ) is not None:
        yield {"env_vars": dict(_VARIABLES)}, None
        return
    with tempfile.TemporaryDirectory(prefix="rl-tuner-working-dir-") as folder:
        travelled = _fill(Path(folder), task)
        yield {"working_dir": folder, "env_vars": dict(_VARIABLES)}, travelled


def _fill(folder: Path, task: Task) -> Travelled:
    for package in source.PACKAGES:
        shutil.copytree(
            source.ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / PERSONS_FOLDER).mkdir()
    needed = _needed(task)
    total = sum(path.stat().st_size for path in needed)
    if total > _MOST_BYTES:
        raise UserError(
            f"the files of this search are {units.size(total)}, and Ray sends at most "
            f"{units.size(_MOST_BYTES)} to hosts: put them at the same path on each, and submit "
            "the search as a job (ray job submit --working-dir)."
        )
    for path, place in needed.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return Travelled(files={str(path): place for path, place in needed.items()})


def _needed(task: Task) -> dict[Path, str]:
    """Return the person's files, absolute, with their places below the working directory."""
    of_module = source_files(task.workload, task.options)
    needed = {}
    for name, path in of_module.items():
        if not path.resolve().is_relative_to(source.ROOT / "trainables"):
            needed[path.absolute()] = _place(path.absolute(), name)
    for text in files_of(task):
        needed[Path(text)] = _place(Path(text), None)
    return needed


def _place(path: Path, name: str | None) -> str:
    """Return where a file lies below the working directory.

    What is below this folder keeps its path. A module from elsewhere goes by its `name`; other
    files stay with those of their folder.
    """
    here = Path.cwd()
    if path.is_relative_to(here):
        return f"{PERSONS_FOLDER}/{path.relative_to(here)}"
    if name is not None and not os.path.isabs(name) and ".." not in Path(name).parts:
        return f"{PERSONS_FOLDER}/{name}"
    number = hashlib.sha256(str(path.parent).encode()).hexdigest()[:8]
    return f"{PERSONS_FOLDER}/.elsewhere/{number}/{path.name}"
