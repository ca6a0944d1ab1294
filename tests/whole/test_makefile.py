import itertools
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from places import ROOT
from tune.jax_phase12 import JaxSpec

MAKEFILE = (ROOT / "Makefile").read_text()

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@needs_make
@pytest.mark.parametrize(
    ("driver_says", "extra"),
    [
        (
            "| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06    CUDA Version: 13.0     |",
            "cuda13",
        ),
        (
            "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4     |",
            "cuda12",
        ),
        (
            "| NVIDIA-SMI 590.44       Driver Version: 590.44       CUDA Version: 14.1     |",
            "cuda13",
        ),
        (None, "cpu"),
    ],
)
def test_the_jax_of_this_machine_is_what_its_driver_can_run(
    tmp_path: Path, driver_says: str | None, extra: str
) -> None:
    script = tmp_path / "nvidia-smi"
    status = 0 if driver_says else 9
    script.write_text(f"#!/bin/sh\necho '{driver_says or 'no driver'}'\nexit {status}\n")
    script.chmod(0o755)
    plan = subprocess.run(
        ["make", "-n", "setup", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert f"install EXTRAS={extra}" in plan


def test_the_options_that_make_tune_passes_make_a_search() -> None:
    [line] = [line for line in MAKEFILE.splitlines() if "-m tune.jax_phase12" in line]
    options = dict(re.findall(r"--([a-z-]+) ([0-9a-z]+)", line))
    spec = JaxSpec(max_time=options["max-time"], finalists=int(options["finalists"]))
    assert spec.max_time_s is not None
    assert spec.max_time_s <= 300, "make tune promises an answer within five minutes"


def test_torch_is_in_no_extra_of_the_jax_path() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    extras = tomllib.loads(project)["project"]["optional-dependencies"]
    of_the_path = [extras[name] for name in ("cpu", "cuda12", "cuda13", "test", "lint")]
    packages = [*tomllib.loads(project)["project"]["dependencies"], *itertools.chain(*of_the_path)]
    assert not [package for package in packages if package.startswith("torch")]
    assert [package for package in extras["torch"] if package.startswith("torch>=")]
