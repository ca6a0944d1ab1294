"""The device of the trials on machines of every kind, and what keeps a GPU from being used."""

import dataclasses

import pytest

from cluster.node.gpus import Gpu
from machines import GIB, IDLE, cpu_host, gpu_host, verdict, visible, with_free
from tune.preflight.findings import Findings

V100 = Gpu(name="Tesla V100-SXM2-16GB", memory_bytes=16 * GIB, power_limit_w=300.0)


def under_driver(version: str, cuda: str | None) -> Findings:
    findings = gpu_host(plugin="jax-cuda12-plugin")
    machine = dataclasses.replace(
        findings.machine, driver_version=version, cuda_driver_version=cuda
    )
    return dataclasses.replace(findings, machine=machine)


@pytest.mark.parametrize(
    ("findings", "problem"),
    [
        (cpu_host(driver_fault="Unknown Error"), "driver does not answer: Unknown Error. After an"),
        (cpu_host(gpu_faults={"0": "GPU is lost"}), "GPU 0 cannot be used: GPU is lost. Restart"),
        (cpu_host(unknown_gpu="GPU-8932"), "CUDA_VISIBLE_DEVICES names no GPU of this machine: GP"),
        (
            gpu_host(visible(gpu=V100, capability=(7, 0))),
            "JAX would not use the GPU under driver 580.65.06: there is a GPU (Tesla V100-SXM2-16GB"
            "), and jax-cuda13-plugin of JAX. Run: pip install -e '.[cuda12]'",
        ),
        (
            under_driver("470.57.02", "11.4"),
            "the NVIDIA driver 470.57.02 is too old for CUDA 12: ins",
        ),
        (
            under_driver("580.65.06", None),
            "CUDA is missing: the driver has no libcuda.so. A con",
        ),
    ],
)
def test_a_gpu_that_cannot_be_used_is_a_problem_and_never_the_cpu_in_silence(
    findings: Findings, problem: str
) -> None:
    assert problem in str(verdict(findings).problems[0])
    assert verdict(dataclasses.replace(findings), device="cpu").fit


def test_an_old_gpu_runs_the_older_jax() -> None:
    findings = gpu_host(visible(gpu=V100, capability=(7, 0)), plugin="jax-cuda12-plugin")
    assert verdict(findings).fit


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"XLA_PYTHON_CLIENT_MEM_FRACTION": "80%"},
            "above 0 and at most 1: '80%'",
        ),
        ({"XLA_CLIENT_MEM_FRACTION": "nan"}, "must be a number above 0 and at most 1: 'nan'"),
        ({"XLA_CLIENT_MEM_FRACTION": "80"}, "must be a number above 0 and at most 1: '80'"),
        ({"XLA_CLIENT_MEM_FRACTION": "0"}, "must be a number above 0 and at most 1: '0'"),
        (
            {"XLA_CLIENT_MEM_FRACTION": ".8", "XLA_PYTHON_CLIENT_MEM_FRACTION": ".8"},
            "jaxlib takes one share of the GPU: XLA_CLIENT_MEM_FRACTION and",
        ),
    ],
)
def test_a_share_of_the_gpu_that_jaxlib_dies_of_is_a_problem(
    environ: dict[str, str], problem: str
) -> None:
    assert problem in str(verdict(gpu_host(), environ=environ).problems[0])
    assert verdict(cpu_host(), environ=environ).fit, "the CPU has no such pool"


def test_trials_take_the_idle_one_of_two_gpus() -> None:
    found = verdict(gpu_host(with_free(3 * GIB), visible("1")))
    assert found.thread_env
    assert found.thread_env.variables["CUDA_VISIBLE_DEVICES"] == "1"
    assert found.device_budget_bytes == int(19 * GIB * 0.9 * 0.95)
    assert "trials run on GPU 1." in "\n".join(found.warnings)


def test_a_gpu_of_another_kind_is_not_taken_instead() -> None:
    found = verdict(gpu_host(with_free(3 * GIB), visible("1", V100)))
    assert found.thread_env
    assert found.thread_env.variables["CUDA_VISIBLE_DEVICES"] == "0"


def test_gpus_are_numbered_as_nvml_does_in_trials() -> None:
    found = verdict(gpu_host())
    assert found.thread_env
    assert found.thread_env.variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_memory_that_is_the_hosts_is_shared_with_it() -> None:
    usage = dataclasses.replace(IDLE, has_host_memory=True)
    found = verdict(gpu_host(visible(usage=usage)))
    assert found.device_budget_bytes == int(19 * GIB * 0.6 * 0.95)
    assert found.thread_env
    assert found.thread_env.variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.6"


@pytest.mark.parametrize(
    ("findings", "warning"),
    [
        (gpu_host(gpu_faults={"1": "GPU is lost"}), "GPU 1 does not answer (GPU is lost)."),
        (gpu_host(unknown_gpu="7"), "CUDA_VISIBLE_DEVICES names 7, which no GPU is."),
        (cpu_host(has_device_without_driver=True), "NVIDIA_DRIVER_CAPABILITIES=compute,utility"),
        (cpu_host(affinity_refused=True), "sched_setaffinity is refused here"),
    ],
)
def test_what_is_wrong_beside_the_trials_is_a_warning(findings: Findings, warning: str) -> None:
    found = verdict(findings)
    assert found.fit
    assert warning in "\n".join(found.warnings)
