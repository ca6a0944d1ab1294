"""The packages of a framework, against the GPU and its driver."""

import pytest

from machines import JAX, gpu_host, verdict, visible


def test_torch_needs_its_own_gpu_build() -> None:
    findings = gpu_host(versions=JAX | {"torch": "2.13.0+cpu"})
    assert "PyTorch for cuda" in str(verdict(findings, framework="torch").problems[0])


PYPI, CU126 = "torch", "--index-url https://download.pytorch.org/whl/cu126 torch"


@pytest.mark.parametrize(
    ("built", "driver", "capability", "got", "words"),
    [
        ("13.2", "13.0", (8, 9), None, None),
        ("12.8", "12.4", (8, 9), None, None),
        ("12.6", "13.0", (7, 0), None, None),
        (None, "12.4", (8, 9), None, None),
        ("13.0", "12.4", (8, 9), "built for CUDA 13.0, and the driver runs CUDA 12.4", CU126),
        ("13.0", "12.9", (12, 0), "the driver runs CUDA 12.9", CU126.replace("126", "128")),
        ("13.0", "12.9", None, "the driver runs CUDA 12.9", CU126),
        # Their kernels are in no build for CUDA 13.
        ("13.2", "13.0", (7, 0), "CUDA 13.2, and the GPU has compute capability 7.0", CU126),
    ],
)
def test_torch_needs_a_build_that_driver_and_gpu_run(
    built: str | None,
    driver: str,
    capability: tuple[int, int] | None,
    got: str | None,
    words: str | None,
) -> None:
    findings = gpu_host(
        visible(capability=capability),
        versions=JAX | {"torch": "2.13.0"},
        cuda=driver,
        torch_cuda=built,
    )
    found = verdict(findings, framework="torch")
    assert found.fit == (got is None)
    if got is not None:
        assert got in found.problems[0].got
        assert f"Run: pip install --force-reinstall {words}, or" in found.problems[0].do


@pytest.mark.parametrize(("version", "again"), [(None, ""), ("2.13.0+cpu", "--force-reinstall ")])
def test_what_pip_is_told_is_not_there_yet(version: str | None, again: str) -> None:
    versions = JAX if version is None else JAX | {"torch": version}
    found = verdict(gpu_host(versions=versions), framework="torch")
    assert f"Run: pip install {again}{PYPI}, or" in found.problems[0].do


def test_a_driver_that_no_torch_runs_under_is_told() -> None:
    findings = gpu_host(versions=JAX | {"torch": "2.7.0"}, cuda="11.4", torch_cuda="12.6")
    found = verdict(findings, framework="torch").problems[0]
    assert "No build would: the NVIDIA driver" in found.do
