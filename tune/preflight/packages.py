"""Packages of a framework, their CUDA and the driver: what keeps it from a device. Pure."""

from cluster.errors import UserError
from cluster.node import jax_extra, torch_build
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
            extra = jax_extra.choose(_driver(findings))
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
    version = findings.machine.versions.get("torch")
    if version is None or (platform == "cuda" and version.endswith("+cpu")):
        what, got = f"PyTorch for {platform} is missing", f"torch is {version or 'not installed'}"
    elif platform == "cuda" and (why := _torch_misfit(findings)):
        driver = findings.machine.driver_version
        what, got = f"PyTorch would not use the GPU under driver {driver}", why
    else:
        return []
    again = "" if version is None else "--force-reinstall "  # pip would take it for what is asked
    try:
        words = "torch" if platform == "cpu" else torch_build.words(_driver(findings))
    except UserError as error:
        return [Problem(what=what, got=got, do=f"No build would: {error} O{OR_CPU[1:]}")]
    do = f"Run: pip install {again}{words}"
    return [Problem(what=what, got=got, do=f"{do}, {OR_CPU}" if platform == "cuda" else f"{do}.")]


def _torch_misfit(findings: Findings) -> str | None:
    """Return why the driver or the GPU does not run PyTorch's CUDA.

    A driver runs all CUDAs of its own major version, and older ones.
    """
    built, driver = findings.torch_cuda, findings.machine.cuda_driver_version
    if built is None or driver is None:
        return None
    major = int(built.partition(".")[0])
    if major > int(driver.partition(".")[0]):
        return f"it is built for CUDA {built}, and the driver runs CUDA {driver}"
    capability = _driver(findings).least_capability
    if major >= 13 and capability is not None and capability < jax_extra.LEAST_CAPABILITY_13:
        has = ".".join(map(str, capability))
        return f"it is built for CUDA {built}, and the GPU has compute capability {has}"
    return None


def _driver(findings: Findings) -> NvidiaDriver:
    """Return the driver, with the capability of the first GPU."""
    return NvidiaDriver(
        version=findings.machine.driver_version,
        cuda=findings.machine.cuda_driver_version,
        least_capability=findings.gpus[0].capability if findings.gpus else None,
    )


def _runs_on(plugin: str, extra: str) -> bool:
    """Return whether the driver of `extra` runs the plugin: it runs its own CUDA and older ones."""
    return int(plugin.removeprefix("jax-cuda")[:2]) <= int(extra.removeprefix("cuda"))
