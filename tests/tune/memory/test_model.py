import itertools

import pytest

from tune.memory import model as memory_model


def compiled_bytes(config: dict[str, int]) -> int:
    """A PPO that stores indices: parameters, environment state, rollout, one minibatch."""
    num_envs, samples = config["num_envs"], config["num_envs"] * config["num_steps"]
    return 40_000_000 + 900 * num_envs + 60 * samples + 11_000 * config["batch_size"]


def configs(envs: tuple[int, ...], steps: tuple[int, ...], batch: tuple[int, ...]):
    return [
        {"num_envs": n, "num_steps": t, "batch_size": b}
        for n, t, b in itertools.product(envs, steps, batch)
    ]


SMALL = configs((64, 256), (32, 128), (512, 2048))


def test_small_compiles_predict_large_programs() -> None:
    model = memory_model.fit((config, compiled_bytes(config)) for config in SMALL)
    assert model is not None
    for config in configs((4096, 16384), (128, 256), (8192, 131072)):
        assert model.predict_bytes(config) == pytest.approx(compiled_bytes(config), rel=0.01)


def test_a_program_on_several_devices_is_as_large_as_one_of_each_ones_part() -> None:
    compiled = [(config, compiled_bytes(config)) for config in SMALL]
    model = memory_model.fit(compiled)
    assert model is not None
    one = {"num_envs": 1024, "num_steps": 128, "batch_size": 4096}
    four = {"num_envs": 4096, "num_steps": 128, "batch_size": 16384, "num_devices": 4}
    assert model.predict_bytes(four) == model.predict_bytes(one)
    assert memory_model.least_bytes(compiled, four) == memory_model.least_bytes(compiled, one)


def test_four_compiles_are_too_few_to_refuse_anything() -> None:
    assert memory_model.fit((config, compiled_bytes(config)) for config in SMALL[:4]) is None


def test_compiles_that_lie_together_do_not_speak_for_far_ones() -> None:
    """At the small end rounding hides what an environment costs; the model has to know that."""

    def rounded(config: dict[str, int]) -> int:
        return -(-compiled_bytes(config) // 8_000_000) * 8_000_000

    near = memory_model.fit((config, rounded(config)) for config in SMALL)
    corners = [*configs((64, 8192), (32, 256), (512, 16384)), *SMALL]
    far = memory_model.fit((config, rounded(config)) for config in corners)
    assert near is not None
    assert far is not None
    for config in configs((2048, 16384), (128,), (4096, 65536)):
        actual = rounded(config)
        assert abs(near.predict_bytes(config) / actual - 1.0) <= near.relative_error(config)
        assert abs(far.predict_bytes(config) / actual - 1.0) <= far.relative_error(config)
        assert far.relative_error(config) < near.relative_error(config)


def test_the_same_program_compiled_again_teaches_nothing_new() -> None:
    pairs = [(SMALL[0], compiled_bytes(SMALL[0]))] * 8
    assert memory_model.fit(pairs) is None


def test_only_what_is_over_the_budget_by_more_than_the_models_error_is_refused() -> None:
    model = memory_model.fit((config, compiled_bytes(config)) for config in SMALL)
    assert model is not None
    large = {"num_envs": 4096, "num_steps": 128, "batch_size": 8192}
    need = compiled_bytes(large)
    assert not model.exceeds(large, need)
    assert not model.exceeds(large, int(need * 0.97))
    assert model.exceeds(large, int(need * 0.8))


def test_a_program_that_bends_makes_the_model_less_sure() -> None:
    def bent(config: dict[str, int]) -> int:
        return int(compiled_bytes(config) * (1.3 if config["num_envs"] > 64 else 1.0))

    straight = memory_model.fit((config, compiled_bytes(config)) for config in SMALL)
    crooked = memory_model.fit((config, bent(config)) for config in SMALL)
    assert straight is not None
    assert crooked is not None
    far = {"num_envs": 4096, "num_steps": 128, "batch_size": 8192}
    assert crooked.relative_error(far) > straight.relative_error(far)


def test_coefficients_are_never_negative() -> None:
    model = memory_model.fit(
        (config, 10_000_000 - config["batch_size"] + 9 * config["num_envs"]) for config in SMALL
    )
    assert model is not None
    assert (model.coefficients >= 0).all()


def test_the_model_speaks_only_of_configurations_with_its_axes() -> None:
    assert memory_model.applies_to(SMALL[0])
    assert not memory_model.applies_to({"num_envs": 8, "hidden": 64})


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ({}, {"num_envs": 8, "num_steps": 4, "batch_size": 2, "num_devices": 2}, True),
        ({"num_epochs": 4}, {"num_epochs": 1}, True),
        ({"lr": 1e-3}, {"lr": 3e-4}, True),
        ({"num_minibatches": 1}, {"num_minibatches": 32}, True),
        ({"num_minibatches": 1, "batch_size": 8}, {"num_minibatches": 2, "batch_size": 8}, False),
        ({"hidden": 64}, {"hidden": 1024}, False),
        ({"hidden": 64}, {}, False),
        ({"width_factor": 0.5}, {"width_factor": 1.0}, False),
        ({"remat": 0}, {"remat": 1}, False),
        ({"env.XLA_PYTHON_CLIENT_MEM_FRACTION": 0.5}, {}, False),
    ],
)
def test_programs_tell_of_each_other_where_no_axis_differs_that_the_model_does_not_know(
    one: dict[str, float], other: dict[str, float], is_alike: bool
) -> None:
    alike = memory_model.setting_of(one) == memory_model.setting_of(other)
    assert alike is is_alike


def test_minibatches_by_their_number_are_as_large_as_by_their_size() -> None:
    model = memory_model.fit((config, compiled_bytes(config)) for config in SMALL)
    assert model is not None
    by_size = {"num_envs": 1024, "num_steps": 128, "batch_size": 4096}
    by_number = {"num_envs": 1024, "num_steps": 128, "num_minibatches": 32}
    assert model.predict_bytes(by_number) == model.predict_bytes(by_size)
    on_four = by_number | {"num_envs": 4096, "num_devices": 4}
    assert model.predict_bytes(on_four) == model.predict_bytes(by_size)


BUDGET = compiled_bytes({"num_envs": 1024, "num_steps": 128, "batch_size": 8192})
SPACE = configs((64, 256, 1024, 4096), (32, 128), (512, 2048, 8192, 32768))


def as_compiled(*known: dict[str, int]) -> list[tuple[dict[str, int], int]]:
    return [(config, compiled_bytes(config)) for config in known]


def test_after_one_compile_smaller_programs_are_sure_to_fit() -> None:
    middle = {"num_envs": 256, "num_steps": 128, "batch_size": 2048}
    smaller = [config for config in SPACE if all(config[name] <= middle[name] for name in middle)]
    assert memory_model.chances(as_compiled(middle), smaller, BUDGET).min() > 0.99


def test_after_one_compile_what_is_much_larger_in_every_way_is_sure_not_to_fit() -> None:
    middle = {"num_envs": 1024, "num_steps": 128, "batch_size": 8192}
    larger = {name: 4 * value for name, value in middle.items()}
    assert memory_model.chances(as_compiled(middle), [larger], BUDGET)[0] < 0.2


def test_a_few_compiles_tell_what_fits_before_a_fit_may_refuse_anything() -> None:
    known = as_compiled(*configs((64,), (32,), (512, 2048)), SPACE[13])
    assert memory_model.fit(known) is None
    chances = memory_model.chances(known, SPACE, int(1.1 * BUDGET))
    fits = [compiled_bytes(config) <= 1.1 * BUDGET for config in SPACE]
    right = [(chance > 0.5) == fit for chance, fit in zip(chances, fits, strict=True)]
    assert sum(right) >= len(right) - 1


def test_without_minibatches_the_rollout_is_used_whole() -> None:
    loop = [({"num_envs": n, "num_steps": 64}, 1000 * n * 64) for n in (64, 256)]
    near, far = {"num_envs": 128, "num_steps": 64}, {"num_envs": 4096, "num_steps": 64}
    chances = memory_model.chances(loop, [near, far], 1000 * 512 * 64)
    assert chances[0] > 0.99
    assert chances[1] < 0.05


def test_what_is_larger_than_a_program_that_did_not_fit_will_not_fit_either() -> None:
    """Some compilers leap: here everything of 4096 rows takes thrice what a line would say."""

    def leaping(config: dict[str, int]) -> int:
        return compiled_bytes(config) * (3 if config["batch_size"] >= 4096 else 1)

    known = [(config, leaping(config)) for config in SMALL]
    first = {"num_envs": 256, "num_steps": 128, "batch_size": 4096}
    larger = {"num_envs": 1024, "num_steps": 128, "batch_size": 4096}
    budget = leaping(first) - 1
    assert memory_model.chances(known, [larger], budget)[0] > 0.5
    known.append((first, leaping(first)))
    assert memory_model.chances(known, [larger], budget)[0] == 0.0


def test_a_leap_that_was_met_warns_of_its_neighbours_and_of_nothing_else() -> None:
    def leaping(config: dict[str, int]) -> int:
        return compiled_bytes(config) * (2 if config["batch_size"] >= 4096 else 1)

    programs = SMALL + configs((1024, 4096), (128,), (512, 1024, 2048))
    known = [(config, leaping(config)) for config in programs]
    met = {"num_envs": 256, "num_steps": 128, "batch_size": 4096}
    neighbour = {"num_envs": 64, "num_steps": 64, "batch_size": 4096}  # and no larger in any way
    small = {"num_envs": 64, "num_steps": 64, "batch_size": 1024}
    budget = int(0.7 * leaping(met))
    before = memory_model.chances(known, [neighbour, small], budget)
    after = memory_model.chances([*known, (met, leaping(met))], [neighbour, small], budget)
    assert before.min() > 0.9
    assert after[0] < 0.2
    assert after[1] > 0.9


def test_of_very_many_programs_those_near_the_budget_tell_one_of_each_size() -> None:
    few = [({"num_envs": n, "num_steps": 8}, 1000 * n) for n in range(1, 100)]
    assert memory_model.telling(few, 10**9) == few
    many = [
        ({"num_envs": n, "num_steps": 8, "num_epochs": epochs}, 1000 * n)
        for n in range(1, 400)
        for epochs in (1, 2)
    ]
    told = memory_model.telling(many, 300_000)
    sizes = sorted(config["num_envs"] for config, _ in told)
    assert len(set(sizes)) == len(sizes) == 256
    assert sizes[-1] == 399
    assert 300 in sizes
    assert sizes[0] > 100
