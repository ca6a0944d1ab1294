"""Choice of this machine's PyTorch, by its NVIDIA driver: python -m cluster.node.torch_build

It prints the words for pip. PyPI has the build for CUDA 13 alone, which older drivers and GPUs do
not run; builds for CUDA 12 are in indexes of PyTorch's own. Stdlib only: `make` asks before
anything is installed.
"""

import os
import sys

from cluster.node import jax_extra
from cluster.node.jax_extra import NvidiaDriver

_INDEX = "--index-url https://download.pytorch.org/whl/"
_BLACKWELL = (10, 0)


def words(driver: NvidiaDriver | None) -> str:
    """Return what pip is told to install the PyTorch that runs under this driver, on all its GPUs.

    The newest for CUDA 12.6 is PyTorch 2.14; for 12.8, which Blackwell needs, 2.11 (PyTorch's own
    tables, read in November 2026; no index was asked).

    Raises:
        UserError: if there is none, as for JAX.
    """
    if driver is None or jax_extra.choose(driver) == "cuda13":
        return "torch"
    capability = driver.least_capability
    is_blackwell = capability is not None and capability >= _BLACKWELL
    return f"{_INDEX}{'cu128' if is_blackwell else 'cu126'} torch"


def main() -> int:
    """Print this machine's words, or the reason that there are none; return the exit code."""
    return jax_extra.print_choice(lambda: words(jax_extra.driver_of_this_machine(os.environ)))


if __name__ == "__main__":
    sys.exit(main())
