"""One machine with GPUs of several kinds: a search for each, with a share of the machine."""

import dataclasses
from typing import Any

import pytest

from cluster.node.gpus import Gpu
from cluster.node.limits import Cpus, MemoryLimit
from machines import GIB, GPU, cpu_host, gpu_host, room_for, verdict, with_free
from tune.preflight import split
from tune.preflight.findings import Findings, MachineShare, PreflightRequest

OTHER = Gpu(name="NVIDIA GeForce RTX 3090", memory_bytes=24 * GIB, power_limit_w=350.0)
ADA, AMPERE = "rtx-4000-ada-generation-20gb-130w", "rtx-3090-24gb-350w"


def host(*gpus: Gpu, held: tuple[int, ...] = (), cpus: int = 8, **changes: Any) -> Findings:
    """A machine with these GPUs; other programs hold the memory of some."""
    return gpu_host(
        *(
            with_free(3 * GIB if n in held else gpu.memory_bytes, str(n), gpu)
            for n, gpu in enumerate(gpus)
        ),
        cpus=Cpus(allowed=tuple(range(cpus)), quota_cores=None, online=cpus),
        **changes,
    )


def shares(findings: Findings, **options: Any) -> dict[str, MachineShare]:
    request = PreflightRequest(**({"max_gpus": None} | options))
    return split.shares(verdict(findings, **({"max_gpus": None} | options)), request, {})


@pytest.mark.parametrize(
    ("findings", "found"),
    [
        (host(GPU, OTHER), {ADA: (("0",), (0, 1, 2, 3)), AMPERE: (("1",), (4, 5, 6, 7))}),
        (host(GPU, OTHER, GPU), {ADA: (("0", "2"), (0, 1, 4, 5)), AMPERE: (("1",), (2, 3))}),
        # A place less than GPUs: each kind has one before any has two.
        (host(GPU, GPU, OTHER, cpus=2), {ADA: (("0",), (0,)), AMPERE: (("2",), (1,))}),
        (
            host(GPU, OTHER, GPU, held=(0,)),
            {ADA: (("2",), (0, 1, 2, 3)), AMPERE: (("1",), (4, 5, 6, 7))},
        ),
        # One kind, or room for one trial: one search has the machine.
        (host(GPU, GPU), {}),
        (host(GPU, OTHER, held=(1,)), {}),
        (host(GPU, held=(0,)), {}),
        (host(GPU, OTHER, held=(0, 1)), {}),
        (host(GPU, OTHER, cpus=1), {}),
        (host(GPU, OTHER, thread_limits=room_for(250)), {}),
        (cpu_host(), {}),
    ],
)
def test_each_kind_has_gpus_and_cpus_of_its_own(
    findings: Findings, found: dict[str, tuple[tuple[str, ...], tuple[int, ...]]]
) -> None:
    told = shares(findings)
    assert {name: (one.gpus, one.cpus) for name, one in told.items()} == found
    for name, one in told.items():
        assert one.beside == tuple(other for other in found if other != name)


@pytest.mark.parametrize(
    ("held", "options", "left_out"),
    [
        ((1, 2), {"max_gpus": None}, ["1", "2"]),
        ((1, 2), {"max_gpus": 1}, []),
        ((1, 2), {"max_gpus": None, "device": "cpu"}, []),
        ((0, 2), {"max_gpus": None}, ["2"]),  # of 0 another sentence says it
        ((), {"max_gpus": None}, []),
    ],
)
def test_gpu_whose_memory_another_program_holds_is_left_out_by_name(
    held: tuple[int, ...], options: dict[str, Any], left_out: list[str]
) -> None:
    found = verdict(host(GPU, GPU, OTHER, held=held), **options)
    told = [warning for warning in found.warnings if "it is left out" in warning]
    size = {"1": "17.0 GiB", "2": "21.0 GiB"}
    assert told == [
        f"another program holds {size[name]} of GPU {name}: it is left out." for name in left_out
    ]


def test_gpus_without_room_are_named() -> None:
    findings = host(GPU, GPU, OTHER, cpus=2)
    found = verdict(findings, max_gpus=None)
    few = "too few CPUs or threads, or too little memory, for one more trial"
    assert split.left_out(found, shares(findings)) == [f"GPU 1 stays idle: {few}."]
    assert split.left_out(found, shares(host(GPU, GPU, OTHER))) == []


@pytest.mark.parametrize("held", [0, 2])
def test_gpu_that_is_held_is_named_where_others_have_searches(held: int) -> None:
    third = dataclasses.replace(GPU, name="NVIDIA L4")
    findings = host(third, OTHER, GPU, held=(held,))
    said = split.left_out(verdict(findings, max_gpus=None), shares(findings))
    assert said == [f"another program holds 17.0 GiB of GPU {held}: it is left out."]


@pytest.mark.parametrize("options", [{"max_gpus": 1}, {"machine_class": AMPERE}, {"device": "cpu"}])
def test_one_kind_that_was_asked_for_has_the_machine(options: dict[str, Any]) -> None:
    assert shares(host(GPU, OTHER), **options) == {}


def test_host_memory_is_for_all_trials_of_all_kinds() -> None:
    memory = MemoryLimit(total_bytes=80 * GIB, available_bytes=60 * GIB, source="/proc/meminfo")
    told = shares(host(GPU, OTHER, GPU, host_memory=memory))
    assert {one.host_bytes for one in told.values()} == {int(60 * GIB * 0.85) // 3}


def test_search_judges_its_share_alone_whatever_others_take_by_then() -> None:
    """The GPUs of the other kind are held by its trials, and so is memory of the host."""
    findings = host(GPU, OTHER, GPU)
    share = shares(findings)[ADA]
    later = host(
        *(GPU, OTHER, GPU),
        held=(1,),
        host_memory=MemoryLimit(total_bytes=32 * GIB, available_bytes=8 * GIB, source="m"),
        thread_limits=room_for(1000, use=400),
    )
    [text] = split.told(share).values()
    [name] = split.told(share)
    assert split.share_of({name: text}) == share
    found = verdict(later, max_gpus=None, machine_class=ADA, share=share)
    assert found.fit
    assert [(place.name, place.cpus) for place in found.gpus] == [("0", (0, 1)), ("2", (4, 5))]
    assert found.host_budget_bytes == share.host_bytes
    assert found.thread_env is not None
    assert found.thread_env.cap == share.thread_cap == 2
    assert found.machine.gpus == (GPU, GPU)
    assert found.machine.num_cpus == 8  # the fingerprint is the machine's
    assert f"a search of {AMPERE} runs on this machine at the same time" in found.warnings[0]


def test_class_that_no_gpu_has_is_a_problem_that_names_those_that_are_there() -> None:
    [problem, *_] = verdict(host(GPU, OTHER), machine_class="h100").problems
    assert str(problem) == (
        "--machine-class h100 is no kind of this machine's GPUs: "
        f"{AMPERE}, {ADA}. Take one that is there; for the classes of a cluster give --address."
    )
    [problem, *_] = verdict(cpu_host(), machine_class="h100").problems
    assert "it has none." in str(problem)


def test_class_that_was_asked_for_is_used_alone() -> None:
    found = verdict(host(GPU, OTHER), machine_class=AMPERE)
    assert found.fit
    assert found.machine.gpus == (OTHER,)
    assert found.thread_env is not None
    assert found.thread_env.variables["CUDA_VISIBLE_DEVICES"] == "1"
