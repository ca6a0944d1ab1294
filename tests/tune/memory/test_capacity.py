"""Capacity: what fits follows from a few compiled programs."""

import pytest

from fake_compiler import CONFIGS, SPACE, need
from search_spaces.config import Value, config_key
from search_spaces.space import SearchSpace
from tune.memory import capacity
from tune.memory.capacity import Fit

GIB = 2**30


def test_other_axes_stand_at_their_largest_value() -> None:
    assert {config["num_epochs"] for config in CONFIGS} == {4}
    assert len(CONFIGS) == sum(config["num_epochs"] == 4 for config in SPACE.configurations())


@pytest.mark.parametrize(
    ("axis", "kept"),
    [
        ("num_devices=2,4", {2}),
        ("grad_accumulation=1,8", {1}),
        ("hidden=64,1024", {1024}),
        ("remat=0,1", {0, 1}),
        ("remat=none,full", {"none", "full"}),
        ("env.OMP_NUM_THREADS=1,2", {2}),
        ("env.XLA_FLAGS=|--xla_a=1", {"--xla_a=1"}),
    ],
)
def test_the_heaviest_value_decides_where_it_is_known(axis: str, kept: set[Value]) -> None:
    found = capacity.of_sizes(SPACE.override([axis]))
    assert {config[axis.partition("=")[0]] for config in found} == kept


def test_programs_of_another_width_do_not_teach_the_model() -> None:
    space = SearchSpace(axes=()).override(["num_envs=64:4096", "num_steps=128", "hidden=64,1024"])
    configs = capacity.of_sizes(space)
    compiled = {config_key(c): c["num_envs"] * GIB for c in configs if c["hidden"] == 1024}
    found = capacity.assess(configs, compiled, 70 * GIB, on_gpu=False)
    narrow = [entry for entry in found.entries if entry.config["hidden"] == 64]
    assert [entry.fit for entry in narrow if entry.fit is not Fit.FITS] == [None] * 6
    assert all(entry.device_bytes is None for entry in narrow)


def test_the_corners_begin_with_the_largest_and_reach_both_ends_of_every_axis() -> None:
    corners = capacity.corners(CONFIGS)
    assert corners[0] == max(CONFIGS, key=need)
    assert len({config_key(config) for config in corners}) == len(corners) == 7
    for name in ("num_envs", "num_steps", "batch_size"):
        values = {config[name] for config in CONFIGS}
        assert {min(values), max(values)} <= {config[name] for config in corners}


def test_one_program_with_room_to_spare_shows_that_all_fit() -> None:
    largest = max(CONFIGS, key=need)
    budget = int(need(largest) * (1 + capacity.MARGIN_ON_CPU)) + 1
    found = capacity.assess(CONFIGS, {config_key(largest): need(largest)}, budget, on_gpu=False)
    assert found.everything_fits
    assert found.num_envs_that_fit(always=True) == 16384
    tight = capacity.assess(CONFIGS, {config_key(largest): need(largest)}, budget - 2, on_gpu=False)
    assert [entry.fit for entry in tight.entries].count(Fit.FITS) == 1  # itself: it was compiled


def test_programs_that_the_compiler_shrank_do_not_teach_the_model() -> None:
    """A GPU's compiler brings what is over 80 % of the card below that; smaller ones it leaves."""
    budget = 4 * GIB
    programs = {config_key(c): min(need(c), int(0.8 * budget)) for c in capacity.corners(CONFIGS)}

    def worst_error(*, on_gpu: bool) -> float:
        found = capacity.assess(CONFIGS, programs, budget, on_gpu=on_gpu)
        predicted = [entry for entry in found.entries if not entry.compiled]
        return max(abs((e.device_bytes or 0.0) / need(e.config) - 1.0) for e in predicted)

    assert worst_error(on_gpu=True) < 0.02
    assert worst_error(on_gpu=False) > 0.1


@pytest.mark.parametrize(
    ("axis", "largest", "num_fitting"),
    [
        ("ent_coef=0,0.01", 0.01, 4),
        ("extra_layers=-1,0", 0, 4),
        ("optimizer=adam,lion", "lion", 2),
        ("remat=-1,0", 0, 2),  # nobody knows which of the two takes more
        ("num_minibatches=1,4", 1, 4),  # the fewer, the larger each
    ],
)
def test_zeros_and_words_are_compared(axis: str, largest: float | str, num_fitting: int) -> None:
    """The largest program shows that all smaller ones with the same words fit."""
    space = SearchSpace(axes=()).override(["num_envs=256,512", "num_steps=128", axis])
    configs = capacity.of_sizes(space)
    first, *others = capacity.corners(configs)
    assert first == {"num_envs": 512, "num_steps": 128, axis.partition("=")[0]: largest}
    assert len(others) == len(configs) - 1
    found = capacity.assess(configs, {config_key(first): GIB}, 2 * GIB, on_gpu=False)
    assert sum(entry.fit is Fit.FITS for entry in found.entries) == num_fitting
