import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from tune.search.sampler import (
    Observations,
    choose_batch,
    expected_improvement,
    fit,
)

GRID = np.array(list(itertools.product(range(6, 15), range(5, 9), range(9, 15))), dtype=np.float64)


def speed(points: np.ndarray) -> np.ndarray:
    """A PPO-like surface: saturates in the first axis, peaks in the third. [n, 3] -> [n]."""
    envs, steps, batch = points.T
    return 1e6 * envs / (envs + 3) * np.exp(-0.06 * (batch - 11) ** 2 - 0.02 * (steps - 7) ** 2)


def choose(
    candidates: np.ndarray, observations: Observations, rng: np.random.Generator, size: int = 1
) -> list[int]:
    """Return the rows that are chosen where all fit."""
    fits = np.ones(len(candidates))
    return choose_batch(candidates, observations, rng, chances=fits, size=size, kernel=None)[0]


def search(policy: str, seed: int, budget: int) -> float:
    """Return the share of the true optimum found after `budget` noisy measurements."""
    rng = np.random.default_rng(seed)
    untried = list(range(len(GRID)))
    tried: list[int] = []
    scores: list[float] = []
    for step in range(budget):
        if policy == "random" or step < 2:
            pick = int(rng.integers(len(untried)))
        else:
            observations = Observations(
                points=GRID[tried],
                scores=np.array(scores),
                feasible=np.ones(len(tried), dtype=np.bool_),
            )
            [pick] = choose(GRID[untried], observations, rng)
        tried.append(untried.pop(pick))
        scores.append(float(speed(GRID[tried[-1:]])[0] * np.exp(rng.normal(0, 0.02))))
    return float(speed(GRID[tried]).max() / speed(GRID).max())


def test_it_finds_what_random_search_without_repeats_does_not() -> None:
    ours = np.array([search("ours", seed, 12) for seed in range(12)])
    random = np.array([search("random", seed, 12) for seed in range(12)])
    assert np.median(ours) > np.median(random)
    assert ours.min() > 0.95


def test_an_infeasible_observation_is_no_place_to_go_back_to() -> None:
    points = np.array([[8.0, 6.0], [10.0, 6.0]])
    observations = Observations(
        points=points, scores=np.array([100.0, 1.0]), feasible=np.array([True, False])
    )
    candidates = np.array([[7.9, 6.0], [10.1, 6.0]])
    posterior = fit(candidates, observations, np.random.default_rng(0))
    assert posterior.mean[0] >= posterior.mean[1]


def test_improvement_grows_with_what_is_expected_and_with_what_is_not_known() -> None:
    rng = np.random.default_rng(0)
    points = np.array([[6.0], [7.0], [8.0], [9.0]])
    observations = Observations(
        points=points, scores=np.array([1.0, 2.0, 4.0, 8.0]), feasible=np.ones(4, dtype=np.bool_)
    )
    posterior = fit(np.array([[5.0], [9.0], [10.0], [14.0]]), observations, rng)
    improvement = expected_improvement(posterior)
    assert improvement[2] > improvement[0]
    assert posterior.std[3] > posterior.std[1]


def test_the_same_seed_chooses_the_same() -> None:
    observations = Observations(
        points=GRID[[0, 50]], scores=np.array([1.0, 2.0]), feasible=np.ones(2, dtype=np.bool_)
    )
    first, second = (choose(GRID, observations, np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_that_nothing_is_feasible_is_said() -> None:
    observations = Observations(
        points=GRID[:1], scores=np.array([1.0]), feasible=np.zeros(1, dtype=np.bool_)
    )
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no observation is feasible"):
        choose(GRID, observations, rng)


def many(number: int) -> Observations:
    rng = np.random.default_rng(1)
    points = rng.uniform(0.0, 10.0, size=(number, 2))
    scores = np.exp(-np.square(points - 4.0).sum(axis=1) / 20.0)
    return Observations(points=points, scores=scores, feasible=np.ones(number, dtype=np.bool_))


def test_a_batch_begins_with_the_choice_and_its_rows_differ_and_lie_apart() -> None:
    candidates = np.random.default_rng(2).uniform(0.0, 10.0, size=(500, 2))
    observations = many(20)
    rows = choose(candidates, observations, np.random.default_rng(0), size=16)
    alone = choose(candidates, observations, np.random.default_rng(0))
    assert rows[:1] == alone
    assert len(set(rows)) == 16
    posterior = fit(candidates, observations, np.random.default_rng(0))
    best = np.argsort(-expected_improvement(posterior))[:16]
    assert candidates[rows].std(axis=0).sum() > candidates[best].std(axis=0).sum()


def test_a_batch_has_no_more_than_there_are() -> None:
    rows = choose(GRID[:3], many_on_grid(), np.random.default_rng(0), size=9)
    assert sorted(rows) == [0, 1, 2]


def many_on_grid() -> Observations:
    return Observations(
        points=GRID[[0, 50]], scores=np.array([1.0, 2.0]), feasible=np.ones(2, dtype=np.bool_)
    )


def test_a_kernel_serves_until_a_quarter_more_is_known() -> None:
    rng = np.random.default_rng(0)
    kernel = fit(many(40).points, many(40), rng).kernel
    assert fit(many(49).points, many(49), rng, kernel).kernel is kernel
    assert fit(many(50).points, many(50), rng, kernel).kernel.num_observed == 50


def test_of_very_many_observations_those_that_are_used_tell_nearly_as_much() -> None:
    rng = np.random.default_rng(0)
    candidates = rng.uniform(1.0, 9.0, size=(200, 2))
    posterior = fit(candidates, many(1500), rng)
    truth = np.exp(-np.square(candidates - 4.0).sum(axis=1) / 20.0)
    assert np.abs(np.log(posterior.scores / truth)).max() < 0.1


@pytest.mark.parametrize("num_points", [2, 12, 80])
def test_the_kernel_is_the_draw_under_which_what_was_measured_is_most_likely(
    num_points: int,
) -> None:
    picked = np.random.default_rng(1).choice(len(GRID), num_points, replace=False)
    points, scores = GRID[picked], speed(GRID[picked])
    feasible = np.ones(num_points, dtype=np.bool_)
    kernel = fit(GRID, Observations(points=points, scores=scores, feasible=feasible), rng()).kernel

    drawn = rng()
    lengths = np.exp(drawn.normal(math.log(3.0), 0.7, size=(256, 3)))
    noises = np.exp(drawn.normal(math.log(1e-2), 1.0, size=256))
    targets = (np.log(scores) - np.log(scores).mean()) / np.log(scores).std()

    def posterior(draw: int) -> float:
        far = math.sqrt(5.0) * cdist(points / lengths[draw], points / lengths[draw])
        covariance = (1.0 + far + far**2 / 3.0) * np.exp(-far)
        covariance += (noises[draw] + 1e-8) * np.eye(num_points)
        prior = stats.norm.logpdf(np.log(lengths[draw]), math.log(3.0), 0.7).sum()
        return float(prior + stats.multivariate_normal.logpdf(targets, cov=covariance))

    best = max(range(256), key=posterior)
    assert kernel.noise == noises[best]
    np.testing.assert_array_equal(kernel.length_scales, lengths[best])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)
