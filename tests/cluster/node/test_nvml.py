"""NVML's errors at its start: which of them mean that there is no GPU, and which do not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.node import nvml
from fake_nvml import FOLDER, NVMLError, card, environment, fake_nvml
from places import ROOT


@pytest.mark.parametrize(
    ("code", "has_device", "is_none"),
    [
        (12, False, True),
        (12, True, True),
        (9, False, True),
        (9, True, False),
        (18, False, False),
        (4, False, False),
        (999, False, False),
    ],
)
def test_few_errors_mean_that_there_is_no_gpu(code: int, has_device: bool, is_none: bool) -> None:
    assert nvml.means_none(NVMLError(code), has_device=has_device) is is_none


def test_a_driver_that_does_not_count_its_gpus_is_an_error() -> None:
    driver = fake_nvml([card()])

    def lost() -> int:
        raise NVMLError(999)

    driver.nvmlDeviceGetCount = lost
    with pytest.raises(nvml.DriverError, match=r"does not answer \(Unknown Error\)") as raised:
        nvml.devices(driver)
    assert isinstance(raised.value, UserError)


def test_device_files_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidiactl").touch()
    assert not nvml.has_device_file(tmp_path)
    (tmp_path / "dev/nvidia3").touch()
    assert nvml.has_device_file(tmp_path)


def preflight(*arguments: str, visible: str | None = None, init: int) -> list[str]:
    """The verdict's lines of the real command, under a driver that starts with this error."""
    environ = os.environ | {"PYTHONPATH": f"{FOLDER}:{ROOT}"} | environment(init=init)
    environ |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    done = subprocess.run(
        [sys.executable, "-m", "tune.preflight", *arguments],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return [line for line in done.stdout.splitlines() if "problem" in line]


@pytest.mark.parametrize("init", [4, 18, 999])
def test_a_driver_that_does_not_start_is_a_problem_and_no_cpu(init: int) -> None:
    [problem] = preflight(init=init)
    assert "the NVIDIA driver does not answer" in problem


def test_a_search_on_the_cpu_needs_no_driver() -> None:
    problems = [*preflight("--device", "cpu", init=18), *preflight(visible="", init=18)]
    assert not [line for line in problems if "driver" in line]
