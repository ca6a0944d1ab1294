"""Bounds on the bytes of a training that nobody can look into."""

import math
from typing import Any

import numpy as np
import pytest

from tune.memory.envelope import Use, _loose_bounds, bounds, chances

GIB = 2**30


def need(config: dict[str, Any]) -> int:
    """Bytes of a made-up trainer: itself, a process per environment, and the rollout."""
    each = 0.3 if config.get("vec") == "subproc" else 0.01
    envs, steps = config["num_envs"], config["num_steps"]
    return round(GIB * (0.5 + each * envs + 2e-5 * envs * steps))


def uses(*configs: dict[str, Any]) -> list[Use]:
    return [Use(config=config, num_bytes=need(config)) for config in configs]


def config(num_envs: int, num_steps: int = 64, **others: Any) -> dict[str, Any]:
    return {"num_envs": num_envs, "num_steps": num_steps, **others}


@pytest.mark.parametrize("envs", [8, 32, 128, 512])
@pytest.mark.parametrize("steps", [16, 64, 256])
def test_the_truth_lies_within_the_bounds(envs: int, steps: int) -> None:
    seen = uses(config(4), config(16), config(4, 256), config(64, 32))
    least, most = bounds(seen, config(envs, steps)) or (math.nan, math.nan)
    assert least <= need(config(envs, steps)) <= most


def test_a_few_measurements_tell_what_will_not_fit() -> None:
    seen = uses(*(config(n, vec="subproc") for n in (4, 8, 16)))
    fits = chances(seen, [config(n, vec="subproc") for n in (32, 64, 256)], 16 * GIB)
    assert list(fits == 0.0) == [False, True, True]  # they need 10, 20 and 78 GiB
    assert fits[0] == 1.0


def test_one_measurement_rules_nothing_out_but_what_is_as_large_already() -> None:
    [fits] = chances(uses(config(64, vec="subproc")), [config(128, vec="subproc")], 30 * GIB)
    assert 0.0 < fits < 1.0
    seen = [*uses(config(4)), Use(config=config(64), num_bytes=None)]
    assert list(chances(seen, [config(128), config(64, 128)], 15 * GIB)) == [0.0, 0.0]


@pytest.mark.parametrize(
    "other",
    [
        {"vec": "dummy"},
        {"vec": "subproc", "num_minibatches": 8},
        {"vec": "subproc", "lr": 1e-3},
        {"vec": "subproc", "env.OMP_NUM_THREADS": 4},
        {"vec": "subproc", "grad_accumulation": 4},
    ],
)
def test_other_words_and_other_values_that_are_no_sizes_are_not_judged(
    other: dict[str, Any],
) -> None:
    known = {"vec": "subproc"} | {name: 1 for name in other if name != "vec"}
    seen = [Use(config=config(64, **known), num_bytes=None)]
    seen += uses(config(4, **known))
    assert chances(seen, [config(64, **other)], 16 * GIB)[0] == 1.0
    assert chances(seen, [config(64, **known)], 16 * GIB)[0] == 0.0


def test_a_death_that_a_larger_run_contradicts_rules_nothing_out() -> None:
    seen = [Use(config=config(64), num_bytes=None), *uses(config(128))]
    assert list(chances(seen, [config(64), config(256)], 99 * GIB)) == [1.0, 1.0]


def test_a_size_of_zero_is_a_size() -> None:
    alone = {"NUM_ENVS": 4, "num_workers": 0}
    seen = [Use(config=alone, num_bytes=GIB)]
    assert chances(seen, [alone | {"NUM_ENVS": 8}], 9 * GIB)[0] == 1.0
    [fits] = chances(seen, [alone | {"num_workers": 8}], 9 * GIB)
    assert 0.0 < fits < 1.0, "what a worker takes is not known"


def test_a_death_alone_is_no_model() -> None:
    seen = [Use(config=config(64), num_bytes=None)]
    assert bounds(seen, config(128)) is None


def test_what_no_model_explains_is_not_predicted() -> None:
    seen = [Use(config=config(n), num_bytes=b * GIB) for n, b in ((4, 8), (8, 1), (16, 9), (32, 1))]
    assert bounds(seen, config(512)) is None
    assert np.array_equal(chances(seen, [config(512)], GIB), [1.0])


def test_the_bounds_of_very_many_configurations_contain_those_of_few() -> None:
    known = [
        Use(config={"num_envs": envs, "batch_size": batch}, num_bytes=1000 + 50 * envs + 3 * batch)
        for envs, batch in ((1, 8), (4, 8), (16, 64))
    ]
    for envs, batch in ((2, 16), (64, 8), (128, 512), (1, 8)):
        config = {"num_envs": envs, "batch_size": batch}
        exact, loose = bounds(known, config), _loose_bounds(known)(config)
        assert exact is not None
        assert loose is not None
        assert loose[0] <= exact[0]
        assert loose[1] >= exact[1]
    assert _loose_bounds(known)({"num_envs": 1, "optimizer": "adam"}) is None


def test_very_many_configurations_are_judged_alike() -> None:
    ran, died = (
        Use(config={"num_envs": 2}, num_bytes=1000),
        Use(config={"num_envs": 900}, num_bytes=None),
    )
    found = chances([ran, died], [{"num_envs": n} for n in range(1, 1000)], 20_000)
    assert found[0] == 1.0
    assert (found[899:] == 0.0).all()
    assert (np.diff(found) <= 0.0).all()
    assert 0.0 < found[100] < 1.0
