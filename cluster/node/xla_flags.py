"""XLA_FLAGS against the installed jaxlib, which dies of a flag that it does not know."""

import functools
import importlib.util
import mmap
import re
from pathlib import Path

SIMULATED_DEVICES = "xla_force_host_platform_device_count"


def unknown_xla_flags(flags: str) -> list[str]:
    """Return those of `XLA_FLAGS` that the installed jaxlib does not know.

    An unknown flag ends every process at backend initialisation. Without jaxlib, none is known to
    be unknown: the list is empty.
    """
    names = re.findall(r"--([\w-]+)", flags) if flags.startswith("-") else []
    return [name for name in names if knows_xla_flag(name) is False]


def num_simulated_devices(flags: str) -> int:
    """Return as how many devices `XLA_FLAGS` let JAX see the CPU."""
    found = re.findall(rf"--{SIMULATED_DEVICES}=(\d+)", flags)
    return int(found[-1]) if found else 1


def with_xla_flag(flags: str, flag: str) -> str:
    """Return `XLA_FLAGS` with one more, `--name=value`.

    They stay as they are if they name a file, set this flag themselves, or the jaxlib knows none
    such.
    """
    name, _, _ = flag.removeprefix("--").partition("=")
    is_file = flags and not flags.startswith("-")
    if is_file or name in flags or not knows_xla_flag(name):
        return flags
    return f"{flags} {flag}".strip()


@functools.cache
def knows_xla_flag(name: str) -> bool | None:
    """Return whether the installed jaxlib registers the flag, `None` without jaxlib.

    The name is looked for as a C string in the library: XLA offers no list of flags short of
    starting a backend, and that is what dies of an unknown one. Protobuf's descriptors hold the
    names of retired flags too, but not between NUL bytes.
    """
    library = _jaxlib_library()
    if library is None:
        return None
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"\0" + name.encode() + b"\0") >= 0


@functools.cache
def _jaxlib_library() -> Path | None:
    spec = importlib.util.find_spec("jaxlib")
    folders = spec.submodule_search_locations if spec else None
    libraries = [path for folder in folders or () for path in Path(folder).glob("*.so")]
    return max(libraries, key=lambda path: path.stat().st_size, default=None)
