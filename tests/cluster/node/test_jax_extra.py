"""The JAX of a machine, by what drivers of all series print, with an nvidia-smi of our own."""

from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.node import jax_extra

OLD_FORM = "| NVIDIA-SMI 580.65.06   Driver Version: 580.65.06    CUDA Version: 13.0     |"
NEW_FORM = "| NVIDIA-SMI 610.43.02   KMD Version: 610.43.02     CUDA UMD Version: 13.3     |"
MODULE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build"


def smi(folder: Path, text: str, *, status: int = 0, capabilities: str = "") -> dict[str, str]:
    """Write an nvidia-smi; return the environment in which it is found."""
    script = folder / "nvidia-smi"
    script.write_text(
        f"#!/bin/sh\ncase $1 in --query*) printf '{capabilities}'; exit;; esac\n"
        f"echo '{text}'\nexit {status}\n"
    )
    script.chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    ("text", "capabilities", "extra"),
    [
        (OLD_FORM, "8.9\\n", "cuda13"),
        (NEW_FORM, "9.0\\n", "cuda13"),
        ("Driver Version: 550.54.15    CUDA Version: 12.4", "8.0\\n", "cuda12"),
        ("Driver Version: 590.44       CUDA Version: 14.1", "", "cuda13"),
        ("Driver Version: 580.65.06    CUDA Version: N/A", "", "cuda13"),
        ("Driver Version: 535.183.01   CUDA Version: N/A", "", "cuda12"),
        (
            "KMD Version: 575.57.08   CUDA UMD Version: 13.3",
            "",
            "cuda13",
        ),  # with a newer CUDA added
        (OLD_FORM, "7.0\\n", "cuda12"),
        (NEW_FORM, "9.0\\n6.1\\n", "cuda12"),
        (OLD_FORM, "Field compute_cap is not a valid field to query.", "cuda13"),
    ],
)
def test_driver_and_capability_choose_the_jax(
    tmp_path: Path, text: str, capabilities: str, extra: str
) -> None:
    environ = smi(tmp_path, text, capabilities=capabilities)
    assert jax_extra.of_this_machine(environ, root=tmp_path) == extra


@pytest.mark.parametrize(
    ("before", "status", "after"),
    [
        ("", 14, "WARNING: infoROM is corrupted at gpu 0000:B3:00.0"),
        ("Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error", 255, ""),
        ("Unable to determine the device handle for GPU1: 0000:34:00.0: GPU is lost", 15, ""),
    ],
)
def test_a_driver_that_says_its_version_answers_whatever_else_is_wrong(
    tmp_path: Path, before: str, status: int, after: str
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    text = "\n".join(filter(None, (before, NEW_FORM, after)))
    environ = smi(tmp_path, text, status=status, capabilities="8.9\\n")
    assert jax_extra.of_this_machine(environ, root=tmp_path) == "cuda13"


@pytest.mark.parametrize(
    ("text", "status", "capabilities", "message"),
    [
        ("Driver Version: 470.57.02 CUDA Version: N/A", 0, "", "driver 470.57.02 is too old"),
        ("Driver Version: 470.57.02 CUDA Version: 11.4", 0, "", "install 525 or newer"),
        (OLD_FORM, 0, "3.5\\n", "compute capability 5.2, got 3.5"),
        ("something else altogether", 0, "", "says neither its version nor its CUDA"),
        ("Failed to initialize NVML: Unknown Error", 255, "", r"\(Failed to initialize NVML: Unk"),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535",
            18,
            "",
            r"\(Failed to initialize NVML: Driver/library version mismatch\)",
        ),
    ],
)
def test_a_gpu_that_no_jax_can_use_is_an_error(
    tmp_path: Path, text: str, status: int, capabilities: str, message: str
) -> None:
    environ = smi(tmp_path, text, status=status, capabilities=capabilities)
    with pytest.raises(UserError, match=message):
        jax_extra.of_this_machine(environ, root=tmp_path)


@pytest.mark.parametrize(
    "status", [None, 6, 9, 12], ids=["no nvidia-smi", "device", "driver", "so"]
)
def test_a_machine_without_a_sign_of_a_gpu_takes_the_cpu(
    tmp_path: Path, status: int | None
) -> None:
    environ = {"PATH": str(tmp_path)}
    if status is not None:
        environ = smi(tmp_path, "none", status=status)
    assert jax_extra.of_this_machine(environ, root=tmp_path) == "cpu"


@pytest.mark.parametrize("status", [None, 9])
def test_a_device_without_its_driver_is_no_cpu(tmp_path: Path, status: int | None) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    environ = {"PATH": str(tmp_path)}
    if status is not None:
        environ = smi(tmp_path, "has failed", status=status)
    with pytest.raises(UserError, match="the NVIDIA driver does not answer"):
        jax_extra.of_this_machine(environ, root=tmp_path)


def test_a_container_without_nvidia_smi_is_told_by_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(MODULE)
    assert jax_extra.of_this_machine({"PATH": str(tmp_path)}, root=tmp_path) == "cuda12"
