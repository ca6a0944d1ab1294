"""Environments in subprocesses trade as they would in one process, and their loss is heard."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

pytest.importorskip("gymnasium", reason="Phase 3's environment needs gymnasium (extra torch)")

from cluster.node import thread_env
from trainables.market.features import Market, build_market
from trainables.market.synthetic import synthetic_bars
from trainables.pytorch_phase3.env_workers import MarketWorkers, worker_seeds
from trainables.pytorch_phase3.market_env import MarketEnv

NUM_ENVS, NUM_WORKERS = 7, 2


@pytest.fixture(scope="module")
def market() -> Market:
    return build_market(synthetic_bars(seed=3, num_days=5))


@pytest.fixture
def workers(market: Market) -> Iterator[MarketWorkers]:
    made = MarketWorkers(market, NUM_ENVS, num_workers=NUM_WORKERS, seed=1)
    yield made
    made.close()


def children() -> list[psutil.Process]:
    alive = [c for c in psutil.Process().children() if c.status() != psutil.STATUS_ZOMBIE]
    alive.sort(key=psutil.Process.create_time)
    return [child for child in alive if "spawn_main" in " ".join(child.cmdline())]


def test_every_step_is_that_of_environments_in_one_process(
    market: Market, workers: MarketWorkers
) -> None:
    sizes = (4, 3)
    seeds = worker_seeds(1, NUM_WORKERS)
    alone = [MarketEnv(market, size, seed=seed) for size, seed in zip(sizes, seeds, strict=True)]
    rng = np.random.default_rng(0)
    num_done = 0
    for _ in range(500):
        masks = workers.action_masks()
        assert np.array_equal(masks, np.concatenate([env.action_masks() for env in alone]))
        actions = np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1)
        got = workers.step(actions)
        steps = [env.step(part) for env, part in zip(alone, np.split(actions, [4]), strict=True)]
        for name in ("rewards", "dones", "returns"):
            expected = np.concatenate([getattr(step, name) for step in steps])
            assert np.array_equal(getattr(got, name), expected), name
        assert np.array_equal(workers.observe(), np.concatenate([env.observe() for env in alone]))
        features, direction = workers.situation()
        assert np.array_equal(features[:4], alone[0].situation()[0])
        assert np.array_equal(direction[4:], alone[1].situation()[1])
        num_done += got.dones.sum()
    assert num_done > 0


def test_a_reset_leaves_no_position(workers: MarketWorkers) -> None:
    workers.step(np.ones(NUM_ENVS, int))
    assert workers.situation()[1].any()
    workers.reset()
    assert not workers.situation()[1].any()


def test_there_are_no_more_workers_than_environments(market: Market) -> None:
    before = len(children())
    made = MarketWorkers(market, 2, num_workers=5, seed=0)
    assert len(children()) - before == 2
    assert made.observe().shape[0] == 2
    made.close()
    assert len(children()) == before


def test_a_worker_has_one_thread_under_a_trials_variables(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in thread_env.build(2, "cpu", range(2), {}, "torch").variables.items():
        monkeypatch.setenv(name, value)
    made = MarketWorkers(market, NUM_ENVS, num_workers=NUM_WORKERS, seed=1)
    assert [child.num_threads() for child in children()] == [1] * NUM_WORKERS
    made.close()


def test_a_worker_that_dies_is_named(workers: MarketWorkers) -> None:
    os.kill(children()[-1].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"environment worker 1 ended with status -9"):
        workers.step(np.zeros(NUM_ENVS, int))
