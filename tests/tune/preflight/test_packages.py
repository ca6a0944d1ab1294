"""The packages of a framework, against the GPU and its driver."""

import dataclasses

import pytest

from machines import JAX, gpu_host, verdict


def test_torch_needs_its_own_gpu_build() -> None:
    findings = gpu_host(versions=JAX | {"torch": "2.13.0+cpu"})
    assert "PyTorch for cuda" in str(verdict(findings, framework="torch").problems[0])


@pytest.mark.parametrize(
    ("built", "driver", "fits"),
    [("13.0", "12.4", False), ("12.8", "12.4", True), ("12.6", "13.0", True), (None, "12.4", True)],
)
def test_torch_needs_a_driver_of_its_cudas_major_version(
    built: str | None, driver: str, fits: bool
) -> None:
    findings = gpu_host(versions=JAX | {"torch": "2.13.0"})
    machine = dataclasses.replace(findings.machine, cuda_driver_version=driver)
    found = verdict(
        dataclasses.replace(findings, machine=machine, torch_cuda=built), framework="torch"
    )
    assert found.fit == fits
    if not fits:
        assert "built for CUDA 13.0, and the driver runs CUDA 12.4" in str(found.problems[0])
        assert "Install its build for CUDA 12" in str(found.problems[0])
