"""Packages of a framework, their CUDA and the driver: what keeps it from a device. Pure."""

from collections.abc import Sequence

from cluster.errors import UserError
from cluster.node import jax_extra
from cluster.node.jax_extra import NvidiaDriver
from cluster.node.thread_env import Framework, Platform
from tune.preflight.findings import Findings, Problem

OR_CPU = "or search on the CPU with --device cpu."
"""The way out that always is."""


def package_problems(platform: Platform, findings: Findings, framework: Framework) -> list[Problem]:
    """Return what is wrong with the packages: without its GPU part a framework runs on the CPU."""
    machine = findings.machine
    if platform == "cuda" and machine.cuda_driver_version is None:
        do = "A container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility."
        return [Problem(what="CUDA is missing", got="the driver has no libcuda.so", do=do)]
    if framework == "any":
        return []  # a command has packages of its own
    if framework == "torch":
        return _torch_problems(platform, findings)
    extra = "cpu"
    if platform == "cuda":
        try:
            extra = _jax_extra(findings)
        except UserError as error:
            got = str(error).removesuffix(".")
            return [Problem(what="JAX does not run here", got=got, do=f"O{OR_CPU[1:]}")]
    do = f"Run: pip install -e '.[{extra}]' (make tune does it too)"
    if "jax" not in machine.versions or "jaxlib" not in machine.versions:
        return [Problem(what="JAX is missing", got="jax or jaxlib is not installed", do=do)]
    plugins = [name for name in machine.versions if name.startswith("jax-cuda")]
    if extra == "cpu" or any(_runs_on(name, extra) for name in plugins):
        return []
    gpu = machine.gpus[0].name
    got = f"there is a GPU ({gpu}), and {' and '.join(plugins) or 'no CUDA plugin'} of JAX"
    what = f"JAX would not use the GPU under driver {machine.driver_version}"
    return [Problem(what=what, got=got, do=f"{do}, {OR_CPU}")]


def _torch_problems(platform: Platform, findings: Findings) -> list[Problem]:
    machine = findings.machine
    version = machine.versions.get("torch")
    if version is not None and not (platform == "cuda" and version.endswith("+cpu")):
        return _torch_driver_problems(platform, findings)
    got = f"torch is {version or 'not installed'}"
    do = "Run: pip install torch"
    return [Problem(what=f"PyTorch for {platform} is missing", got=got, do=do)]


def _torch_driver_problems(platform: Platform, findings: Findings) -> list[Problem]:
    """Return that the driver is older than PyTorch's CUDA: it runs all of its own major version."""
    built, driver = findings.torch_cuda, findings.machine.cuda_driver_version
    if platform != "cuda" or built is None or driver is None:
        return []
    major = int(built.partition(".")[0])
    if major <= int(driver.partition(".")[0]):
        return []
    return [
        Problem(
            what=f"PyTorch would not use the GPU under driver {findings.machine.driver_version}",
            got=f"it is built for CUDA {built}, and the driver runs CUDA {driver}",
            do=f"Install its build for CUDA {major - 1} (pytorch.org/get-started), {OR_CPU}",
        )
    ]


def _jax_extra(findings: Findings) -> str:
    """Return the extra for the first GPU.

    Raises:
        UserError: if there is none.
    """
    capabilities: Sequence[tuple[int, int] | None] = findings.gpu_capabilities
    driver = NvidiaDriver(
        version=findings.machine.driver_version,
        cuda=findings.machine.cuda_driver_version,
        least_capability=capabilities[0] if capabilities else None,
    )
    return jax_extra.choose(driver)


def _runs_on(plugin: str, extra: str) -> bool:
    """Return whether the driver of `extra` runs the plugin: it runs its own CUDA and older ones."""
    return int(plugin.removeprefix("jax-cuda")[:2]) <= int(extra.removeprefix("cuda"))
