"""The vectorised market in subprocesses, for environments that cost more than a pipe.

Each worker holds a share of the accounts and answers one message per bar. It is spawned, not
forked (its parent has threads and perhaps a GPU), inherits the trial's CPUs and capped variables,
and imports no framework: one thread each. It ends when its pipe does.
"""

import multiprocessing
from multiprocessing.connection import Connection

import numpy as np

from trainables.market.features import Market
from trainables.pytorch_phase3.arrays import Flags, Floats, Integers
from trainables.pytorch_phase3.market_env import MarketEnv, Step

_View = tuple[Floats, Flags, Floats, Floats]
"""Observations, action masks, and the two parts of `MarketEnv.situation`."""

_END_S = 5.0


class MarketWorkers:
    """`num_envs` accounts in at most `num_workers` processes; the members are `MarketEnv`'s.

    Raises (from every method that talks to a worker):
        RuntimeError: if a worker has died; its last output is in the trial's log.
    """

    observation_space = MarketEnv.observation_space
    action_space = MarketEnv.action_space

    def __init__(self, market: Market, num_envs: int, *, num_workers: int, seed: int):
        self.num_envs = num_envs
        sizes = [len(share) for share in np.array_split(np.arange(num_envs), num_workers)]
        sizes = [size for size in sizes if size]
        self._ends = np.cumsum(sizes)[:-1]
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for size, worker_seed in zip(sizes, worker_seeds(seed, len(sizes)), strict=True):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, market, size, worker_seed), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self._view = _joined([self._hear(index)[1] for index in range(len(self._pipes))])

    def reset(self) -> None:
        """Start every episode anew at a random bar."""
        self._ask([None] * len(self._pipes))

    def step(self, actions: Integers) -> Step:
        """Advance every account by one bar. `actions`: [num_envs] below NUM_ACTIONS."""
        steps = self._ask(np.split(actions, self._ends))
        return Step(
            rewards=np.concatenate([step.rewards for step in steps]),
            dones=np.concatenate([step.dones for step in steps]),
            returns=np.concatenate([step.returns for step in steps]),
        )

    def observe(self) -> Floats:
        """[num_envs, OBSERVATION_SIZE], see `MarketEnv.observe`."""
        return self._view[0]

    def action_masks(self) -> Flags:
        """[num_envs, NUM_ACTIONS], see `MarketEnv.action_masks`."""
        return self._view[1]

    def situation(self) -> tuple[Floats, Floats]:
        """Return what `MarketEnv.situation` returns."""
        return self._view[2], self._view[3]

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_END_S)
            if process.is_alive():
                process.kill()

    def _ask(self, messages: "list[Integers] | list[None]") -> list[Step]:
        """Send all workers their messages, then wait for all: they work at the same time."""
        for index, message in enumerate(messages):
            try:
                self._pipes[index].send(message)
            except BrokenPipeError as error:
                raise self._lost(index) from error
        answers = [self._hear(index) for index in range(len(self._pipes))]
        self._view = _joined([view for _, view in answers])
        return [step for step, _ in answers if step is not None]

    def _hear(self, index: int) -> tuple[Step | None, _View]:
        try:
            answer: tuple[Step | None, _View] = self._pipes[index].recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._lost(index) from error
        return answer

    def _lost(self, index: int) -> RuntimeError:
        process = self._processes[index]
        process.join(_END_S)
        return RuntimeError(f"environment worker {index} ended with status {process.exitcode}.")


def worker_seeds(seed: int, num_workers: int) -> list[np.random.SeedSequence]:
    """Return one seed per worker; none of them is another run's."""
    return np.random.SeedSequence(seed).spawn(num_workers)


def _work(pipe: Connection, market: Market, num_envs: int, seed: np.random.SeedSequence) -> None:
    """Answer one message after the other until the pipe is closed. `None` means reset."""
    env = MarketEnv(market, num_envs, seed=seed)
    step: Step | None = None
    while True:
        try:
            pipe.send((step, _look(env)))
            actions: Integers | None = pipe.recv()
        except (EOFError, ConnectionError):
            return
        if actions is None:
            env.reset()
            step = None
        else:
            step = env.step(actions)


def _look(env: MarketEnv) -> _View:
    return env.observe(), env.action_masks(), *env.situation()


def _joined(views: list[_View]) -> _View:
    observations, masks, features, directions = zip(*views, strict=True)
    return (
        np.concatenate(observations),
        np.concatenate(masks),
        np.concatenate(features),
        np.concatenate(directions),
    )
