"""The PyTorch of a machine, by its driver and GPUs."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.node import torch_build
from cluster.node.jax_extra import NvidiaDriver
from places import ROOT

INDEX = "--index-url https://download.pytorch.org/whl/"


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (None, "torch"),
        (NvidiaDriver(version="580.65.06", cuda="13.0", least_capability=(12, 0)), "torch"),
        (NvidiaDriver(version="580.65.06", cuda=None, least_capability=None), "torch"),
        (
            NvidiaDriver(version="550.54", cuda="12.4", least_capability=(8, 9)),
            f"{INDEX}cu126 torch",
        ),
        (NvidiaDriver(version="550.54", cuda="12.4", least_capability=None), f"{INDEX}cu126 torch"),
        (
            NvidiaDriver(version="570.86", cuda="12.8", least_capability=(12, 0)),
            f"{INDEX}cu128 torch",
        ),
        (
            NvidiaDriver(version="580.65", cuda="13.0", least_capability=(7, 0)),
            f"{INDEX}cu126 torch",
        ),
    ],
)
def test_driver_and_capability_choose_the_torch(driver: NvidiaDriver | None, words: str) -> None:
    assert torch_build.words(driver) == words


@pytest.mark.parametrize(
    ("says", "status", "code", "stdout"),
    [
        ("Driver Version: 550.54.15    CUDA Version: 12.4", 0, 0, f"{INDEX}cu126 torch\n"),
        ("Driver Version: 470.57.02    CUDA Version: 11.4", 0, 2, ""),
        ("NVIDIA-SMI has failed", 9, 0, "torch\n"),
    ],
)
def test_make_is_told_by_what_nvidia_smi_says(
    tmp_path: Path, says: str, status: int, code: int, stdout: str
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    smi.chmod(0o755)
    run = subprocess.run(
        [sys.executable, "-m", "cluster.node.torch_build"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (code, stdout), run.stderr
