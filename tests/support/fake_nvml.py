"""A driver of our own in NVML's place, with the functions and errors of nvidia-ml-py.

In a test's own process `fake_nvml(...)` is handed to what asks. For a command, `fake_driver/` on
PYTHONPATH has it as `pynvml`, and the variable FAKE_NVML its arguments as JSON.
"""

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIB = 2**30
FOLDER = Path(__file__).with_name("fake_driver")
TEXTS = {
    3: "Not Supported",
    4: "Insufficient Permissions",
    6: "Not Found",
    9: "Driver Not Loaded",
    12: "NVML Shared Library Not Found",
    13: "Function Not Found",
    15: "GPU is lost",
    18: "RM has detected an NVML/RM version mismatch.",
    999: "Unknown Error",
}


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        self.value = value
        super().__init__(TEXTS[value])


def uuid_of(index: int) -> str:
    """The UUID of the GPU of this index."""
    return f"GPU-{index}0000000-1111-2222-3333-444444444444"


def card(name: str = "NVIDIA RTX 4000 Ada Generation", **changes: Any) -> dict[str, Any]:
    """A card, idle but for `changes`. An `error` of NVML by its number, for one query or "handle".

    `mig` are the sizes of its MIG devices in GiB; `None`: MIG is off. `lost_when` is a file: once
    it is there, the card is lost. `computing` are samples of processes: pid, percent, microseconds.
    """
    return {
        "name": name,
        "total_gib": 20,
        "free_gib": 19,
        "capability": [8, 9],
        "errors": {},
        "mig": None,
        **changes,
    }


def fake_nvml(  # noqa: C901 - a module, as a function
    cards: list[dict[str, Any]] | None = None,
    *,
    init: int = 0,
    driver: str = "580.65.06",
    cuda: int | None = 13000,
    as_bytes: bool = False,
) -> Any:
    """A module like pynvml. `init` is the error at its start, `cuda` is `None` without libcuda.

    Without it, NVML's first query for CUDA's version returns the one that NVML was built with.
    """
    cards = [card()] if cards is None else cards

    def fail(code: int) -> None:
        if code:
            raise NVMLError(code)

    def text(value: str) -> str | bytes:
        return value.encode() if as_bytes else value

    def of_card(query: str, answer: Callable[[dict[str, Any], Any], Any]) -> Callable[..., Any]:
        def ask(handle: Any, *_: Any) -> Any:
            index, part = handle
            fail(cards[index]["errors"].get(query, 0))
            return answer(cards[index], part)

        return ask

    def handle(index: int) -> tuple[int, None]:
        fail(cards[index]["errors"].get("handle", 0))
        fail(15 if Path(cards[index].get("lost_when", "/never")).exists() else 0)
        return index, None

    def part(handle: Any, number: int) -> tuple[int, int]:
        fail(0 if number < len(cards[handle[0]]["mig"] or ()) else 6)
        return handle[0], number

    def memory(one: dict[str, Any], number: int | None) -> Any:
        total, free = one["total_gib"], one["free_gib"]
        if number is not None:
            total = free = one["mig"][number]
        return types.SimpleNamespace(total=int(total * GIB), free=int(free * GIB))

    def uuid(handle: Any) -> str | bytes:
        index, number = handle
        whole = uuid_of(index)
        return text(whole if number is None else whole.replace("GPU-", "MIG-")[:-1] + f"{number}")

    def computing(handle: Any, since_us: int) -> list[Any]:
        index, _ = handle
        fail(cards[index]["errors"].get("computing", 0))
        names = ("pid", "smUtil", "timeStamp")
        samples = [dict(zip(names, one, strict=True)) for one in cards[index].get("computing", [])]
        found = [types.SimpleNamespace(**one) for one in samples if one["timeStamp"] > since_us]
        fail(0 if found else 6)
        return found

    def cuda_version() -> int:
        fail(12 if cuda is None else 0)
        assert cuda is not None
        return cuda

    return types.SimpleNamespace(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: fail(init),
        nvmlSystemGetDriverVersion=lambda: text(driver),
        nvmlSystemGetCudaDriverVersion=lambda: 13000 if cuda is None else cuda,
        nvmlSystemGetCudaDriverVersion_v2=cuda_version,
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetUUID=uuid,
        nvmlDeviceGetName=of_card(
            "name", lambda one, n: text(one["name"] + (f" MIG {n}" if n is not None else ""))
        ),
        nvmlDeviceGetMemoryInfo=of_card("memory", memory),
        nvmlDeviceGetPowerManagementLimit=of_card("power", lambda one, _: 130_000),
        nvmlDeviceGetPowerUsage=of_card("power", lambda one, _: 61_500),
        nvmlDeviceGetUtilizationRates=of_card(
            "utilization", lambda one, _: types.SimpleNamespace(gpu=one.get("busy", 0))
        ),
        nvmlDeviceGetTemperature=of_card("temperature", lambda one, _: 55),
        nvmlDeviceGetCurrentClocksEventReasons=of_card("clocks", lambda one, _: one.get("held", 0)),
        nvmlDeviceGetCurrentClocksThrottleReasons=of_card(
            "throttle", lambda one, _: one.get("held", 0)
        ),
        nvmlDeviceGetCudaComputeCapability=of_card("capability", lambda one, _: one["capability"]),
        nvmlDeviceGetCpuAffinity=of_card("affinity", lambda one, _: one.get("near", [])),
        nvmlDeviceGetMigMode=of_card("mig", lambda one, _: [int(one["mig"] is not None), 0]),
        nvmlDeviceGetProcessUtilization=computing,
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 7,
        nvmlDeviceGetMigDeviceHandleByIndex=part,
    )


def environment(**arguments: Any) -> dict[str, str]:
    """Variables under which a command meets `fake_nvml(**arguments)`; FOLDER goes on PYTHONPATH."""
    return {"FAKE_NVML": json.dumps(arguments)}
