"""The schedule of questions to the model, and the advice in use. NumPy only, no torch.

At the first bar of a rollout and every `interval` bars after it, all environments ask at once. So
every update asks equally often and costs the same. Contexts that the cache does not know
become one batch for the model, each only once. Synchronous advice is there in the same step;
asynchronous advice arrives while trading goes on, and its age says how stale it is.
"""

import concurrent.futures
import dataclasses
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from trainables.pytorch_phase3 import advice as advices
from trainables.pytorch_phase3.advice import NO_ADVICE, AdviceCache, MarketContext, TradeAdvice
from trainables.pytorch_phase3.arrays import Flags, Floats

ADVICE_SIZE = 5
"""One-hot hold, buy, sell (all zero without advice), confidence, age in intervals up to 2."""

_OLDEST = 2.0
_CONFIDENCE, _AGE = 3, 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The model's texts, one per context, and the tokens it generated for all of them."""

    texts: list[str]
    num_tokens: int


class Model(Protocol):
    """A language model, or a test's stand-in."""

    def answer(self, contexts: Sequence[MarketContext]) -> Answers:
        """Answer all contexts in one batch."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Counters:
    """Costs of asking so far.

    `num_queries` counts environments that asked; of these, `num_cached` were answered from the
    cache (or by a twin in the same batch), the rest by the model in `num_batches` batches.
    `num_skipped` queries found the model still busy. `busy_s` is the model's time, `waited_s` the
    time that trading stood still; `age_bars` is the mean age of the advice in use, in bars.
    """

    num_queries: int = 0
    num_batches: int = 0
    num_answers: int = 0
    num_cached: int = 0
    num_unparsed: int = 0
    num_skipped: int = 0
    num_tokens: int = 0
    busy_s: float = 0.0
    waited_s: float = 0.0
    age_bars: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Advice for the contexts of one batch, and the seconds and tokens that it took."""

    contexts: list[MarketContext]
    advice: list[TradeAdvice]
    num_unparsed: int
    num_tokens: int
    busy_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A query under way: each environment's context, its episode, and the bar of the question."""

    contexts: list[MarketContext]
    episodes: np.ndarray
    asked_at: int
    batch: concurrent.futures.Future[_Batch]


class Advisor:
    """Advice for `num_envs` environments, as features of their observations.

    Advice holds until newer advice comes or the episode ends. With `asynchronous`, one query is
    under way at a time, on a thread of its own; training is then not reproducible to the bit.
    """

    def __init__(
        self,
        model: Model,
        *,
        num_envs: int,
        interval: int,
        cache_size: int,
        asynchronous: bool = False,
    ):
        self.counters = Counters()
        self._model = model
        self._interval = interval
        self._cache = AdviceCache(cache_size)
        self._executor = concurrent.futures.ThreadPoolExecutor(1) if asynchronous else None
        self._pending: _Pending | None = None
        self._clock = 0  # bars since the start
        self._asks_at = 0
        self._episodes = np.zeros(num_envs, np.int64)
        self._asked_at = np.zeros(num_envs, np.int64)
        self._features = np.zeros((num_envs, ADVICE_SIZE), np.float32)

    def wants_contexts(self) -> bool:
        """Return whether the environments ask at this bar."""
        return self._clock >= self._asks_at

    def start_rollout(self) -> None:
        """Ask at the next bar, and count the interval from there."""
        self._asks_at = self._clock

    def advance(self, dones: Flags, contexts: Sequence[MarketContext] | None) -> Floats:
        """Go on by one bar; return [num_envs, ADVICE_SIZE] the advice known at its close.

        `dones` are the episodes that ended with it. `contexts`, one per environment, are read only
        if `wants_contexts`.
        """
        self._episodes[dones] += 1
        self._features[dones] = 0.0
        if self._pending is not None and self._pending.batch.done():
            self._take(self._pending)
            self._pending = None
        if self.wants_contexts():
            assert contexts is not None
            self._ask(list(contexts))
        self._clock += 1
        return self._aged()

    def close(self) -> None:
        """Wait for the query under way and end the thread."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def _aged(self) -> Floats:
        has_advice = self._features[:, :_CONFIDENCE].any(axis=1)
        age_bars = self._clock - 1 - self._asked_at
        age = np.minimum(age_bars / self._interval, _OLDEST)
        self._features[:, _AGE] = np.where(has_advice, age, 0.0)
        self.counters.age_bars = float(age_bars[has_advice].mean()) if has_advice.any() else None
        return self._features.copy()

    def _ask(self, contexts: list[MarketContext]) -> None:
        self._asks_at = self._clock + self._interval
        if self._pending is not None:
            self.counters.num_skipped += len(contexts)
            return
        self.counters.num_queries += len(contexts)
        unknown = [c for c in dict.fromkeys(contexts) if self._cache.get(c) is None]
        self.counters.num_cached += len(contexts) - len(unknown)
        pending = _Pending(
            contexts=contexts,
            episodes=self._episodes.copy(),
            asked_at=self._clock,
            batch=self._start(unknown),
        )
        if self._executor is not None and unknown:
            self._pending = pending
            return
        self._take(pending)

    def _start(self, contexts: list[MarketContext]) -> "concurrent.futures.Future[_Batch]":
        if self._executor is not None and contexts:
            return self._executor.submit(self._query, contexts)
        done: concurrent.futures.Future[_Batch] = concurrent.futures.Future()
        batch = self._query(contexts)
        self.counters.waited_s += batch.busy_s
        done.set_result(batch)
        return done

    def _query(self, contexts: list[MarketContext]) -> _Batch:
        """Ask the model. It runs on another thread, so it touches only the model."""
        if not contexts:
            return _Batch(contexts=[], advice=[], num_unparsed=0, num_tokens=0, busy_s=0.0)
        started = time.perf_counter()
        answers = self._model.answer(contexts)
        parsed = [advices.parse(text) for text in answers.texts]
        return _Batch(
            contexts=contexts,
            advice=[NO_ADVICE if item is None else item for item in parsed],
            num_unparsed=sum(item is None for item in parsed),
            num_tokens=answers.num_tokens,
            busy_s=time.perf_counter() - started,
        )

    def _take(self, pending: _Pending) -> None:
        """Give the answers to the environments that are still in the episode they asked in."""
        batch = pending.batch.result()
        counters = self.counters
        counters.num_batches += bool(batch.contexts)
        counters.num_answers += len(batch.contexts)
        counters.num_unparsed += batch.num_unparsed
        counters.num_tokens += batch.num_tokens
        counters.busy_s += batch.busy_s
        fresh = dict(zip(batch.contexts, batch.advice, strict=True))
        for env, context in enumerate(pending.contexts):
            answer = fresh.get(context) or self._cache.get(context)
            if answer is None or pending.episodes[env] != self._episodes[env]:
                continue
            self._features[env] = 0.0
            self._features[env, answer.action] = 1.0
            self._features[env, _CONFIDENCE] = answer.confidence
            self._asked_at[env] = pending.asked_at
        self._cache.put(batch.contexts, batch.advice)
