"""Machines of every kind, none of which is this one, and the verdict on them."""

import dataclasses
from typing import Any

from cluster.node.gpus import Gpu, GpuUsage, VisibleGpu
from cluster.node.hardware import Machine
from cluster.node.limits import Cpus, MemoryLimit, ThreadLimit, ThreadLimits
from tune.preflight.findings import Findings, Preflight, PreflightRequest
from tune.preflight.judge import judge

GIB = 2**30


JAX = {"jax": "0.10.2", "jaxlib": "0.10.2", "ray": "2.60.0"}


GPU = Gpu(name="NVIDIA RTX 4000 Ada Generation", memory_bytes=20 * GIB, power_limit_w=130.0)


IDLE = GpuUsage(
    memory_free_bytes=19 * GIB, utilization_percent=0.0, temperature_c=40.0, power_w=10.0
)


def room_for(room: int, use: int = 10) -> ThreadLimits:
    limit = ThreadLimit(
        name="pids cgroup /c",
        limit=use + room,
        use=use,
        room=room,
        source="/c/pids.max",
        note="every thread of this container or service (cgroup v2)",
        remedy="a container with --pids-limit {limit} or more",
    )
    return ThreadLimits(limits=(limit,), binding=limit, room=room)


def cpu_host(**changes: Any) -> Findings:
    """A CPU machine of 8 cores and 16 free GiB, but for `changes` (versions go to the machine)."""
    machine = Machine(
        gpus=(),
        driver_version=None,
        cuda_driver_version=None,
        cpu_model="AMD EPYC",
        num_cpus=8,
        cpu_quota_cores=None,
        ram_bytes=32 * GIB,
        os="Linux 6.8.0 x86_64",
        python="3.12.3",
        versions=changes.pop("versions", JAX),
    )
    findings = Findings(
        machine=machine,
        gpus=(),
        hidden_gpus=0,
        thread_limits=room_for(10_000),
        cpus=Cpus(allowed=tuple(range(8)), quota_cores=None, online=8),
        host_memory=MemoryLimit(
            total_bytes=32 * GIB, available_bytes=16 * GIB, source="/proc/meminfo"
        ),
        container=None,
    )
    return dataclasses.replace(findings, **changes)


def gpu_host(
    *gpus: VisibleGpu,
    cuda: str = "13.0",
    plugin: str | None = "jax-cuda13-plugin",
    **changes: Any,
) -> Findings:
    """A machine with GPUs, their driver, and JAX with (or without) a CUDA plugin."""
    versions = changes.pop("versions", JAX) | ({plugin: "0.10.2"} if plugin else {})
    findings = cpu_host(versions=versions).of_gpus(gpus or (visible(),))
    machine = dataclasses.replace(
        findings.machine, driver_version="580.65.06", cuda_driver_version=cuda
    )
    return dataclasses.replace(findings, machine=machine, **changes)


def visible(name: str = "0", gpu: Gpu = GPU, **changes: Any) -> VisibleGpu:
    """An idle GPU that CUDA shows."""
    whole = VisibleGpu(name=name, gpu=gpu, usage=IDLE, capability=(8, 9))
    return dataclasses.replace(whole, **changes)


def with_free(free_bytes: int, name: str = "0", gpu: Gpu = GPU) -> VisibleGpu:
    """A GPU of whose memory so much is free."""
    return visible(name, gpu, usage=dataclasses.replace(IDLE, memory_free_bytes=free_bytes))


def verdict(findings: Findings, **options: Any) -> Preflight:
    environ = options.pop("environ", {})
    return judge(findings, PreflightRequest(**options), environ=environ)
