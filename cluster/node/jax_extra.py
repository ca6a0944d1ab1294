"""Choice of this machine's JAX, by its NVIDIA driver: python -m cluster.node.jax_extra

It prints `cpu`, `cuda12` or `cuda13`. A GPU that is there never becomes `cpu` in silence: where no
JAX runs under its driver, or the driver does not answer, that is an error. Stdlib only: `make` asks
before anything is installed.
"""

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.errors import UserError
from cluster.node import nvml

LEAST_DRIVER = 525
"""The oldest driver that runs CUDA 12; JAX has no build for an older CUDA."""
LEAST_CAPABILITY_13 = (7, 5)
"""The least capability of a GPU for CUDA 13, which dropped Maxwell, Pascal and Volta."""
_LEAST_DRIVER_13 = 580
_LEAST_CAPABILITY = (5, 2)
_QUERY_S = 20.0  # a driver that wakes many GPUs takes seconds
_WSL = "/usr/lib/wsl/lib"  # where WSL keeps nvidia-smi, often off the PATH
# nvidia-smi exits with NVML's error: no device, no driver, no library.
_SAYS_NONE = {6, 9, 12}
_DO = "Or take the CPU's JAX: make EXTRA=cpu."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaDriver:
    """A driver: its version, the newest CUDA that it runs, and the least capability of its GPUs.

    `None` stands for what it did not say.
    """

    version: str | None
    cuda: str | None
    least_capability: tuple[int, int] | None = None


def choose(driver: NvidiaDriver) -> str:
    """Return the extra whose JAX runs under this driver and on all of its GPUs.

    Raises:
        UserError: if there is none, or the driver says too little to know.
    """
    major, capability = _major(driver.version), driver.least_capability
    if (major is not None and major < LEAST_DRIVER) or (_major(driver.cuda) or 12) < 12:
        raise UserError(
            f"the NVIDIA driver {driver.version or f'of CUDA {driver.cuda}'} is too old for CUDA "
            f"12: install {LEAST_DRIVER} or newer."
        )
    if capability is not None and capability < _LEAST_CAPABILITY:
        raise UserError(
            f"JAX needs a GPU of compute capability 5.2, got {capability[0]}.{capability[1]}: take "
            "another GPU."
        )
    runs_13 = _runs_13(driver)
    if runs_13 is None:
        raise UserError(
            "the NVIDIA driver says neither its version nor its CUDA: see what nvidia-smi prints."
        )
    is_new_enough = capability is None or capability >= LEAST_CAPABILITY_13
    return "cuda13" if runs_13 and is_new_enough else "cuda12"


def read(text: str, capabilities: str = "") -> NvidiaDriver:
    """Return the driver of what nvidia-smi, or /proc/driver/nvidia/version, prints.

    Since its series 610 nvidia-smi prints `KMD Version` and `CUDA UMD Version`. `capabilities` has
    a line like `8.9` per GPU.
    """
    cuda = re.search(r"\bCUDA (?:UMD )?Version\s*:\s*(\d+(?:\.\d+)?)", text)
    version = re.search(r"\b(?:Driver|KMD) Version\s*:\s*(\d+[\d.]*)", text) or re.search(
        r"\bKernel Module\b.*?\s(\d+\.[\d.]+)", text
    )
    pairs = re.findall(r"^\s*(\d+)\.(\d+)\s*$", capabilities, re.MULTILINE)
    return NvidiaDriver(
        version=version[1] if version else None,
        cuda=cuda[1] if cuda else None,
        least_capability=min(((int(a), int(b)) for a, b in pairs), default=None),
    )


def of_this_machine(environ: Mapping[str, str], *, root: Path = Path("/")) -> str:
    """Return the extra for this machine; `cpu` where there is no sign of an NVIDIA GPU.

    Raises:
        UserError: if there is one and no JAX for it.
    """
    driver = driver_of_this_machine(environ, root=root)
    return "cpu" if driver is None else choose(driver)


def driver_of_this_machine(
    environ: Mapping[str, str], *, root: Path = Path("/")
) -> NvidiaDriver | None:
    """Return this machine's driver; `None` where there is no sign of an NVIDIA GPU.

    Raises:
        DriverError: if there is one whose driver does not answer.
    """
    status, text = _nvidia_smi(environ)
    kernel = root / "proc/driver/nvidia/version"
    has_device = nvml.has_device_file(root)
    # It exits with 14 for an infoROM that is corrupted, which no training needs, with other numbers
    # where one GPU of several is lost. The driver answers all the same.
    if status == 0 or read(text).version is not None:
        _, capabilities = _nvidia_smi(environ, "--query-gpu=compute_cap", "--format=csv,noheader")
        return read(text, capabilities)
    if status is None and kernel.exists() and has_device:
        return read(kernel.read_text())  # a container without the driver's own programs
    if has_device or (status is not None and status not in _SAYS_NONE):
        said = next(iter(text.strip().splitlines()), "") or f"exit status {status}"
        if status is None:
            said = "/dev/nvidia* is there, and nvidia-smi is not"
        raise nvml.DriverError(said)
    return None


def _nvidia_smi(environ: Mapping[str, str], *arguments: str) -> tuple[int | None, str]:
    """Return its exit status and what it prints, `None` as the status where there is none."""
    path = os.pathsep.join(filter(None, (environ.get("PATH"), _WSL)))
    folders = (Path(folder, "nvidia-smi") for folder in path.split(os.pathsep))
    program = next((file for file in folders if os.access(file, os.X_OK) and file.is_file()), None)
    if program is None:
        return None, ""
    try:
        done = subprocess.run(
            [program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_QUERY_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"nvidia-smi did not end within {_QUERY_S:.0f} s"
    except OSError as error:
        return -1, f"{program}: {error.strerror}"
    return done.returncode, done.stdout


def _runs_13(driver: NvidiaDriver) -> bool | None:
    """Return whether it runs CUDA 13. Its CUDA counts first: a newer one can be added to it."""
    cuda, version = _major(driver.cuda), _major(driver.version)
    if cuda is not None:
        return cuda >= 13
    return None if version is None else version >= _LEAST_DRIVER_13


def _major(version: str | None) -> int | None:
    match = re.match(r"\d+", version or "")
    return int(match[0]) if match else None


def print_choice(choose: Callable[[], str], *, do: str = "") -> int:
    """Print a choice and return 0, or the reason that there is none and return 2.

    `do` is what to do about it, where the reason does not say that.
    """
    try:
        print(choose())
    except UserError as error:
        print(f"error: {error} {do}".rstrip(), file=sys.stderr)
        return 2
    return 0


def main() -> int:
    """Print this machine's extra, or the reason that there is none; return the exit code."""
    return print_choice(lambda: of_this_machine(os.environ), do=_DO)


if __name__ == "__main__":
    sys.exit(main())
