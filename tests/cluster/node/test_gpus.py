"""Which GPU is which, and what each says of itself, with a driver of our own in NVML's place."""

from typing import Any

import pytest

from cluster.node import gpus
from cluster.node.gpus import GpuUsage
from fake_nvml import GIB, card, fake_nvml, uuid_of

TWO = [card("RTX 3090", total_gib=24, free_gib=3), card("H100", total_gib=80, free_gib=79)]


def seen(text: str | None, cards: list[dict[str, Any]] = TWO, **driver: Any) -> gpus.VisibleGpus:
    environ = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}
    return gpus.visible_gpus(environ, driver=fake_nvml(cards, **driver))


@pytest.mark.parametrize("as_bytes", [False, True], ids=["text", "bytes of an old pynvml"])
@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, ["RTX 3090", "H100"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", ["H100"]),
        ("1, 0", ["H100", "RTX 3090"]),
        ("0,5,1", ["RTX 3090"]),
        ("0,-1,1", ["RTX 3090"]),
        (uuid_of(1), ["H100"]),
        ("GPU-1", ["H100"]),
        (f"{uuid_of(1)},{uuid_of(0)}", ["H100", "RTX 3090"]),
        (f"{uuid_of(1).upper().replace('GPU', 'GPU')}", ["H100"]),
        ("GPU-", []),
        ("GPU-8932f937", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(
    text: str | None, names: list[str], as_bytes: bool
) -> None:
    found = seen(text, as_bytes=as_bytes)
    assert [one.gpu.name for one in found.gpus] == names
    assert found.num_hidden == 2 - len(names)


@pytest.mark.parametrize(
    ("text", "unknown"), [("7", "7"), ("GPU-8932f937", "GPU-8932f937"), ("", None), ("-1", None)]
)
def test_a_name_that_no_gpu_has_is_told_from_hiding_all(text: str, unknown: str | None) -> None:
    assert seen(text).unknown == unknown


def test_a_gpu_keeps_the_name_that_the_person_gave_it() -> None:
    assert [one.name for one in seen(f"{uuid_of(1)},0").gpus] == [uuid_of(1), "0"]


MIG = [card("A30"), card("A100", total_gib=40, mig=[5, 10])]


@pytest.mark.parametrize(
    ("text", "size_gib"),
    [
        ("MIG-10000000-1111-2222-3333-444444444441", 10),
        ("MIG-10000000-1111-2222-3333-444444444440", 5),
        ("1", 5),  # CUDA opens the first part
        (uuid_of(1), 5),
    ],
)
def test_a_mig_device_has_its_own_size(text: str, size_gib: int) -> None:
    [found] = seen(text, MIG).gpus
    assert found.gpu.memory_bytes == size_gib * GIB
    assert found.usage.memory_free_bytes == size_gib * GIB
    assert "MIG" in found.gpu.name


@pytest.mark.parametrize(
    ("text", "free_gib"),
    [
        ("MIG-00000000-1111-2222-3333-444444444441", 10),
        ("MIG-00000000-1111-2222-3333-444444444440", 5),
        ("0", 5),
        ("3", 5),  # a container's own, by its number on the host
        ("", None),
        (None, 5),
    ],
)
def test_of_a_lone_gpu_cut_by_mig_the_chosen_part_is_watched(
    text: str | None, free_gib: int | None
) -> None:
    environ = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}
    usage = gpus.own_gpu_usage(environ, driver=fake_nvml([card(mig=[5, 10])]))
    assert (usage and usage.memory_free_bytes) == (free_gib and free_gib * GIB)


def test_a_gpu_cut_by_mig_without_parts_is_a_fault() -> None:
    assert "has no MIG device" in seen(None, [card(mig=[])]).faults["0"]


@pytest.mark.parametrize(
    ("errors", "fault"),
    [
        ({"handle": 15}, "GPU is lost"),
        ({"memory": 15}, "GPU is lost"),
        ({"memory": 4}, "Insufficient Permissions"),
        ({"handle": 999}, "Unknown Error"),
        ({"name": 15}, "GPU is lost"),
    ],
)
def test_a_gpu_that_does_not_answer_leaves_the_others(errors: dict[str, int], fault: str) -> None:
    found = seen(None, [card("A", errors=errors), card("B")])
    assert ([one.name for one in found.gpus], found.faults) == (["1"], {"0": fault})
    usage = gpus.own_gpu_usage(
        {"CUDA_VISIBLE_DEVICES": "1"}, driver=fake_nvml([card("A", errors=errors), card("B")])
    )
    assert usage is not None


def test_memory_that_nvml_does_not_know_is_the_hosts() -> None:
    [found] = seen(None, [card("NVIDIA GB10", errors={"memory": 3, "power": 3})]).gpus
    assert found.usage.has_host_memory
    assert found.gpu.memory_bytes >= found.usage.memory_free_bytes > 0
    assert (found.gpu.power_limit_w, found.usage.power_w) == (None, None)


def test_usage_is_read_per_gpu() -> None:
    [idle, busy] = seen(None, [card(), card(free_gib=9, busy=93, held=0x65)]).gpus
    assert busy.usage == GpuUsage(
        memory_free_bytes=9 * GIB,
        utilization_percent=93.0,
        temperature_c=55,
        power_w=61.5,
        held_back_by=("power", "temperature"),  # bit 0 is idleness, and no limit
    )
    assert idle.usage.held_back_by == ()
    assert busy.capability == (8, 9)


@pytest.mark.parametrize(
    ("errors", "held_back_by"),
    [
        ({"clocks": 13}, ("power", "temperature")),  # a driver before 535
        ({"throttle": 3}, ("power", "temperature")),
        ({"clocks": 3, "throttle": 3}, ()),
    ],
)
def test_limits_of_the_clocks_are_asked_for_by_both_of_their_names(
    errors: dict[str, int], held_back_by: tuple[str, ...]
) -> None:
    [found] = seen(None, [card(held=0x65, errors=errors)]).gpus
    assert found.usage.held_back_by == held_back_by


@pytest.mark.parametrize(
    ("visible", "num_gpus", "watts"),
    [
        (None, 1, 61.5),
        ("3", 1, 61.5),  # a container shows its GPU alone
        (uuid_of(1), 2, 61.5),
        ("7", 2, None),
        ("", 2, None),
    ],
)
def test_the_usage_is_of_our_gpu_or_there_is_none(
    visible: str | None, num_gpus: int, watts: float | None
) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    usage = gpus.own_gpu_usage(environ, driver=fake_nvml([card()] * num_gpus))
    assert (usage.power_w if usage else None) == watts


def test_queries_that_an_old_package_lacks_are_unknown_figures() -> None:
    driver = fake_nvml()
    del driver.nvmlDeviceGetCurrentClocksEventReasons
    del driver.nvmlDeviceGetCurrentClocksThrottleReasons
    del driver.nvmlDeviceGetMigMode
    assert gpus.visible_gpus({}, driver=driver).gpus[0].usage.held_back_by == ()
    assert gpus.gpu_process_bytes(driver=driver) == [{}]


COMPUTING = [(11, 95, 2_000), (12, 100, 2_000), (13, 3, 2_000), (14, 90, 1_000)]
OF_NO_PROCESS = [(0, 0, 0), (32_649, 2_147_483_632, 2**62)]  # nvtop leaves such ones out, too


@pytest.mark.parametrize(
    ("changes", "since", "pids"),
    [
        ({}, 0, {11, 12, 14}),  # a desktop's few percent are no computing
        ({"computing": [*COMPUTING, *OF_NO_PROCESS]}, 0, {11, 12, 14}),
        ({}, 1_000, {11, 12}),
        ({}, 2_000, set()),  # NVML finds none, which is an error there
        ({"errors": {"computing": 3}}, 0, set()),
        ({"errors": {"handle": 15}}, 0, set()),
    ],
)
def test_processes_that_computed_on_the_own_gpu_since_a_moment(
    changes: dict[str, Any], since: int, pids: set[int]
) -> None:
    cards = [card(computing=[(99, 100, 9_000)]), card(**{"computing": COMPUTING, **changes})]
    environ = {"CUDA_VISIBLE_DEVICES": "1"}
    assert gpus.computing_pids(environ, since, driver=fake_nvml(cards)) == pids


def test_a_mig_device_tells_of_no_process() -> None:
    cards = [card(computing=COMPUTING, mig=[10, 10], errors={"computing": 3})]
    assert gpus.computing_pids({}, 0, driver=fake_nvml(cards)) == frozenset()
