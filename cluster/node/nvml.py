"""NVIDIA's driver, asked with care: each GPU by itself, and none of its errors taken for "no GPU".

CUDA opens the GPUs that CUDA_VISIBLE_DEVICES names, NVML knows them all; who is which is told here.
"""

import dataclasses
import functools
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_NOT_SUPPORTED, _DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND = 3, 9, 12
_HIDES = {"", "NoDevFiles"}  # the latter is Slurm's word for none


class DriverError(UserError):
    """The NVIDIA driver is there and does not answer; `reason` is its own word for it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the NVIDIA driver does not answer ({reason}): after an update of the driver restart "
            "the machine, or the container, until nvidia-smi shows the GPU."
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NvmlDevice:
    """A GPU, or a MIG device, of NVML: `name` is one for CUDA_VISIBLE_DEVICES.

    `parent` is the handle of the whole GPU. `fault` says why there is no `handle`.
    """

    name: str
    handle: Any = None
    parent: Any = None
    fault: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VisibleDevices:
    """The devices that CUDA shows to a process, in its order, and the number of all others.

    `unknown` is the first name in CUDA_VISIBLE_DEVICES that no device has. CUDA ignores it and all
    that follows.
    """

    devices: tuple[NvmlDevice, ...] = ()
    num_hidden: int = 0
    unknown: str | None = None


@functools.cache
def load() -> Any:
    """Return pynvml, initialised for the life of the process, or `None` without a driver.

    Raises:
        DriverError: if there is a driver, and it does not start.
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if means_none(error, has_device=has_device_file()):
            return None
        raise DriverError(str(error)) from error
    return nvml


def means_none(error: Exception, *, has_device: bool) -> bool:
    """Return whether NVML's error at its start means that there is no GPU.

    A machine without one has no driver, or has its library and no device. All else is a GPU that
    cannot be used: another version of the driver's kernel part, a container that lost its devices.
    """
    code = _code(error)
    return code == _LIBRARY_NOT_FOUND or (code == _DRIVER_NOT_LOADED and not has_device)


def has_device_file(root: Path = Path("/")) -> bool:
    """Return whether the kernel's driver shows a GPU to this process."""
    return any((root / "dev").glob("nvidia[0-9]*"))


def ask(nvml: Any, query: str, *arguments: Any) -> Any:
    """Ask for what not every card (laptops, vGPUs, MIG) or driver tells; `None` where it does not.

    A card may be lost at any time, and a package or driver may be too old for the query.
    """
    function = getattr(nvml, query, None)
    if function is None:
        return None
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def devices(nvml: Any) -> tuple[NvmlDevice, ...]:
    """Return all GPUs, in the order of their PCI addresses, by which NVML counts.

    Raises:
        DriverError: if the driver does not even count them.
    """
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        raise DriverError(str(error)) from error
    return tuple(_device(nvml, index) for index in range(count))


def visible(nvml: Any, environ: Mapping[str, str]) -> VisibleDevices:
    """Return the devices that CUDA_VISIBLE_DEVICES leaves, as CUDA reads it.

    It has numbers, by CUDA_DEVICE_ORDER=PCI_BUS_ID, and UUIDs of GPUs and MIG devices, which may be
    shortened where they stay unambiguous.

    Raises:
        DriverError: as `devices`.
    """
    everything = devices(nvml)
    named = environ.get(VISIBLE)
    if named is None:
        return VisibleDevices(devices=everything)
    found: list[NvmlDevice] = []
    unknown = None
    for name in (name.strip() for name in named.split(",")):
        if name in _HIDES or name.startswith("-"):
            break
        device = _named(nvml, everything, name)
        if device is None:
            unknown = name
            break
        found.append(device)
    num_hidden = max(0, len(everything) - len(found))
    return VisibleDevices(devices=tuple(found), num_hidden=num_hidden, unknown=unknown)


def hides_all(environ: Mapping[str, str]) -> bool:
    """Return whether CUDA_VISIBLE_DEVICES hides all GPUs from CUDA."""
    first = environ.get(VISIBLE, "0").partition(",")[0].strip()
    return first in _HIDES or first.startswith("-")


def memory(nvml: Any, device: NvmlDevice) -> Any:
    """Return the device's memory, with `total` and `free` in bytes; `None` if it is the host's.

    Raises:
        nvml.NVMLError: if the driver does not tell.
    """
    try:
        return nvml.nvmlDeviceGetMemoryInfo(device.handle)
    except nvml.NVMLError as error:
        if _code(error) == _NOT_SUPPORTED:  # GB10, Jetson: one memory, of which NVML knows nothing
            return None
        raise


def text(value: str | bytes) -> str:
    """Return a name or version of NVML as text; pynvml before 11.5 gave bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _device(nvml: Any, index: int) -> NvmlDevice:
    """Return a GPU; where it is cut by MIG, its first part, the one that CUDA opens."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return NvmlDevice(name=f"{index}", fault=f"{error}")
    mode = ask(nvml, "nvmlDeviceGetMigMode", handle)
    if not mode or mode[0] != 1:
        return NvmlDevice(name=f"{index}", handle=handle, parent=handle)
    part = next(_parts(nvml, handle), None)
    if part is None:
        return NvmlDevice(
            name=f"{index}", fault="MIG is on, and it has no MIG device (nvidia-smi -L lists them)"
        )
    return NvmlDevice(name=f"{index}", handle=part, parent=handle)


def _parts(nvml: Any, handle: Any) -> Iterator[Any]:
    """Yield the MIG devices of a GPU."""
    for index in range(ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        part = ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        if part is not None:
            yield part


def _named(nvml: Any, everything: tuple[NvmlDevice, ...], name: str) -> NvmlDevice | None:
    if name.isdecimal():
        return everything[int(name)] if int(name) < len(everything) else None
    if name.startswith("MIG-"):
        return _mig_device(nvml, everything, name)
    if not name.startswith("GPU-"):
        return None
    matches = [
        device
        for device in everything
        if device.parent is not None and _has_uuid(nvml, device.parent, name)
    ]
    return dataclasses.replace(matches[0], name=name) if len(matches) == 1 else None


def _mig_device(nvml: Any, everything: tuple[NvmlDevice, ...], name: str) -> NvmlDevice | None:
    parts = [
        NvmlDevice(name=name, handle=part, parent=device.parent)
        for device in everything
        if device.parent is not None
        for part in _parts(nvml, device.parent)
        if _has_uuid(nvml, part, name)
    ]
    if len(parts) == 1:
        return parts[0]
    # A container sees its MIG devices alone, and drivers before 470 named them otherwise.
    handle = ask(nvml, "nvmlDeviceGetHandleByUUID", name)
    if handle is None:
        return None
    parent = ask(nvml, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
    return NvmlDevice(name=name, handle=handle, parent=handle if parent is None else parent)


def _has_uuid(nvml: Any, handle: Any, name: str) -> bool:
    uuid = ask(nvml, "nvmlDeviceGetUUID", handle)
    return uuid is not None and text(uuid).lower().startswith(name.lower())


def _code(error: Exception) -> int | None:
    return getattr(error, "value", None)
