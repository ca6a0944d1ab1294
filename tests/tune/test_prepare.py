"""The baseline is something real: the person's, the task's default, or of the space.

Levers are those that can be tried here.
"""

import contextlib
import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

import factories
import machines
from cluster.errors import UserError
from cluster.node import xla_flags
from cluster.node.thread_env import Framework
from search_spaces.jax_phase12 import PHASE12_BASELINE
from search_spaces.space import SearchSpace
from tune import prepare
from tune.prepare import baseline_of
from tune.screen.screen import Screen
from tune.search.levers import GPU
from tune.search.objective import Objective
from tune.spec import SearchSpec

PPO = ("num_envs=64:1024", "num_steps=32:128", "batch_size=1024:8192", "num_epochs=4")


@pytest.mark.parametrize(
    ("space", "default", "given", "config", "called"),
    [
        (PPO, PHASE12_BASELINE, {}, PHASE12_BASELINE, "the framework default"),
        (
            PPO,
            PHASE12_BASELINE,
            {"num_envs": 2048, "batch_size": 4096},
            {"num_envs": 2048, "num_steps": 128, "batch_size": 4096, "num_epochs": 4},
            "your baseline",
        ),
        (
            ("num_envs=8,12,24", "num_steps=16"),
            PHASE12_BASELINE,
            {},
            {"num_envs": 24, "num_steps": 16},
            "the nearest to the framework default",
        ),
        (
            ("num_envs=4,8", "num_steps=100", "batch_size=64,100"),
            {},
            {},
            {"num_envs": 4, "num_steps": 100, "batch_size": 100},
            "the smallest configuration",
        ),
        (
            ("hidden=3,7", "depth=2"),
            {},
            {},
            {"hidden": 3, "depth": 2},
            "the smallest configuration",
        ),
        (("hidden=3,7",), {}, {"hidden": 5}, {"hidden": 5}, "your baseline"),
        (("vec=a,b", "n=0,4"), {}, {"vec": "b"}, {"vec": "b", "n": 0}, "your baseline"),
        (("v=1,x", "n=4,2"), {}, {"v": 1}, {"v": "1", "n": 2}, "your baseline"),
        (("lr=1e-3,1e-4",), {}, {}, {"lr": 1e-4}, "the smallest configuration"),
    ],
)
def test_baseline_is_given_or_of_the_space(
    space: tuple[str, ...],
    default: dict[str, int],
    given: dict[str, int],
    config: dict[str, int],
    called: str,
) -> None:
    axes = SearchSpace(axes=()).override(space)
    assert baseline_of(axes, default, given) == (config, called)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden": 3}, "--baseline names .'hidden'.; the axes are"),
        ({"num_envs": 64, "num_steps": 33, "batch_size": 1024}, "batch_size 1024 does not divide"),
    ],
)
def test_a_baseline_that_cannot_be_is_a_mistake(given: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        baseline_of(SearchSpace(axes=()).override(PPO), PHASE12_BASELINE, given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vec": "c"}, "--baseline vec=c is none of the axis' words, a, b: add it to --space"),
        ({"n": "many"}, "--baseline n must be a number, got 'many'"),
        ({"n": 3}, "the baseline cannot run: it breaks n % 2 == 0"),
    ],
)
def test_a_baseline_of_words_is_of_the_space(given: dict[str, object], message: str) -> None:
    space = SearchSpace(axes=()).override(("vec=a,b", "n=2,4"), ("n % 2 == 0",))
    with pytest.raises(UserError, match=message):
        baseline_of(space, {}, given)


FLAGS = [lever.name for lever in GPU if "XLA_FLAGS" in lever.variables]


@pytest.mark.parametrize(
    ("flags", "known", "not_tried"),
    [
        ("", None, ""),
        ("--xla_mine=1", None, ""),
        ("flags.txt", None, f"{', '.join(FLAGS)} (XLA_FLAGS=flags.txt names a file)."),
        (
            "",
            "double_buffering",
            f"{', '.join(FLAGS[1:])} (jaxlib does not know their flags).",
        ),
    ],
)
def test_levers_are_those_that_jaxlib_knows_behind_the_persons_own_flags(
    monkeypatch: pytest.MonkeyPatch, flags: str, known: str | None, not_tried: str
) -> None:
    monkeypatch.setenv("XLA_FLAGS", flags)
    if known is not None:
        monkeypatch.setattr(xla_flags, "knows_xla_flag", lambda name: known in name)
    told = io.StringIO()
    screen = Screen(as_json=False, console=Console(file=told, width=1000))
    machine = machines.verdict(machines.gpu_host())
    spec = SearchSpec(levers="gpu")
    found = prepare.levers_of(spec, factories.task(), machine, screen)
    own = [lever.variables["XLA_FLAGS"] for lever in found if "XLA_FLAGS" in lever.variables]
    assert all(value.startswith(f"{flags} --xla_gpu".strip()) for value in own)
    assert not_tried in told.getvalue()
    assert bool(not_tried) == bool(told.getvalue())
    elsewhere = prepare.levers_of(spec, factories.task(), machine, screen, is_here=False)
    assert not any("mine" in str(lever.variables) for lever in elsewhere)
    left_out = [name for name in FLAGS if name in not_tried]
    assert [lever.name for lever in found] == [
        lever.name for lever in GPU if lever.name not in left_out
    ]


@pytest.mark.parametrize(
    ("framework", "on_gpu", "refused"),
    [
        ("jax", False, "--levers gpu: trials run on the CPU here; leave it out"),
        ("torch", True, "--levers gpu: they are XLA's, and this is PyTorch; leave it out"),
        ("any", True, None),
    ],
)
def test_levers_are_for_jax_on_a_gpu(
    framework: Framework, on_gpu: bool, refused: str | None
) -> None:
    machine = machines.verdict(machines.gpu_host() if on_gpu else machines.cpu_host())
    task = factories.task(framework=framework)
    with pytest.raises(UserError, match=refused) if refused else contextlib.nullcontext():
        prepare.levers_of(SearchSpec(levers="gpu"), task, machine, Screen(as_json=True))
    assert prepare.levers_of(SearchSpec(), task, machine, Screen(as_json=True)) == ()


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"learn_seeds": 5}, True),
        ({"train_time": "2h"}, True),
        ({"target_return": 9.0}, False),
        ({"learn_time": "1m"}, False),
        ({"thread_cap": 2}, False),
        ({"memory_budget": "2GiB"}, False),
        ({"objective": Objective.THROUGHPUT, "target_return": None}, False),
    ],
)
def test_a_search_goes_on_with_more_seeds_and_not_to_another_target(
    changes: dict[str, Any], is_same: bool
) -> None:
    spec = SearchSpec(objective=Objective.LEARNING, target_return=8.0)
    identities = [
        prepare.Prepared(
            spec=one,
            task=factories.task(),
            preflight=factories.preflight(),
            caps=None,  # type: ignore[arg-type]
            space=SearchSpace(axes=()),
            baseline={},
            baseline_called="",
            recommended=(),
            levers=(),
            folder=None,  # type: ignore[arg-type]
            resume=False,
            screen=None,  # type: ignore[arg-type]
            hardware_class=None,
        ).identity
        for one in (spec, dataclasses.replace(spec, **changes))
    ]
    assert (identities[0] == identities[1]) == is_same
