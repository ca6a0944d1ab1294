"""Questions, answers, the cache, and who asks when: no language model needed."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from trainables.market.features import FEATURES
from trainables.market.positions import BUY, HOLD, SELL
from trainables.pytorch_phase3 import advice
from trainables.pytorch_phase3.advice import (
    NO_ADVICE,
    AdviceCache,
    MarketContext,
    TradeAdvice,
    parse,
)
from trainables.pytorch_phase3.advisor import Advisor, Answers

NOBODY = np.zeros(4, bool)
RISING: MarketContext = (4, 3, 70, 1, 0, 1)
FALLING: MarketContext = (0, 1, 30, 1, 0, 1)
FLAT: MarketContext = (2, 2, 50, 1, 0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("buy | 0.8", TradeAdvice(action=BUY, confidence=0.8)),
        (" SELL|1", TradeAdvice(action=SELL, confidence=1.0)),
        ("hold | .5\nMarket: trend", TradeAdvice(action=HOLD, confidence=0.5)),
        ("Buy | 0", TradeAdvice(action=BUY, confidence=0.0)),
        ("buy", None),
        ("buy | 80%", None),
        ("buy | 1.5", None),
        ("buy | -0.5", None),
        ("I would buy | 0.8", None),
        ("buy or sell | 0.5", None),
        ("buy | 0.8 because it rises", None),
        ("", None),
        ("\n\n", None),
        ("nan | nan", None),
    ],
)
def test_an_answer_is_read_strictly(text: str, expected: TradeAdvice | None) -> None:
    assert parse(text) == expected


def test_the_answers_that_examples_show_parse() -> None:
    assert all(parse(answer) is not None for _, answer in advice.EXAMPLES)


def test_every_context_of_a_market_reads_as_words() -> None:
    extremes = np.array([[-10.0] * len(FEATURES), [10.0] * len(FEATURES)], np.float32)
    extremes[:, FEATURES.index("RSI")] = [-1.0, 1.0]
    low, high = advice.contexts_of(extremes, np.array([-1.0, 1.0], np.float32))
    assert advice.describe(low) == (
        "trend falling fast, momentum falling fast, RSI 0, volatility low, session opening, "
        "position short"
    )
    assert advice.describe(high) == (
        "trend rising fast, momentum rising fast, RSI 100, volatility high, session close, "
        "position long"
    )


def test_markets_that_differ_a_little_are_one_context() -> None:
    features = np.zeros((2, len(FEATURES)), np.float32)
    features[1] = 0.01
    first, second = advice.contexts_of(features, np.zeros(2, np.float32))
    assert first == second


def test_a_chat_alternates_and_ends_with_the_question() -> None:
    turns = advice.conversation(RISING)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * len(advice.EXAMPLES) + [
        "user"
    ]
    assert turns[-1]["content"] == advice.describe(RISING)


def test_the_cache_forgets_what_was_used_least_recently() -> None:
    cache = AdviceCache(2)
    some = TradeAdvice(action=BUY, confidence=0.5)
    cache.put([RISING, FALLING], [some, some])
    assert cache.get(RISING) == some
    cache.put([FLAT], [some])
    assert cache.get(FALLING) is None
    assert cache.get(RISING) == some
    assert len(cache) == 2


class Oracle:
    """Buys what rises, sells what falls, stammers otherwise; remembers its batches."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.batches: list[list[MarketContext]] = []
        self._gate = gate

    def answer(self, contexts: Sequence[MarketContext]) -> Answers:
        if self._gate is not None:
            assert self._gate.wait(10.0)
        self.batches.append(list(contexts))
        texts = {4: "buy | 0.8", 0: "sell | 0.6"}
        return Answers(
            texts=[texts.get(context[0], "well...") for context in contexts],
            num_tokens=7 * len(contexts),
        )


def make_advisor(oracle: Oracle, *, cache_size: int = 8, asynchronous: bool = False) -> Advisor:
    return Advisor(oracle, num_envs=4, interval=3, cache_size=cache_size, asynchronous=asynchronous)


def test_all_that_ask_in_a_step_are_one_batch_of_distinct_contexts() -> None:
    oracle = Oracle()
    advisor = make_advisor(oracle)
    features = advisor.advance(NOBODY, [RISING, FALLING, RISING, FLAT])
    assert oracle.batches == [[RISING, FALLING, FLAT]]
    buy, sell, hold = [0, 1, 0, 0.8, 0], [0, 0, 1, 0.6, 0], [1, 0, 0, 0, 0]
    assert features == pytest.approx(np.array([buy, sell, buy, hold]))
    assert advisor.counters.num_queries == 4
    assert advisor.counters.num_answers == 3
    assert advisor.counters.num_cached == 1


def test_what_does_not_parse_is_hold_without_confidence_and_counted() -> None:
    advisor = make_advisor(Oracle())
    features = advisor.advance(NOBODY, [FLAT] * 4)
    assert TradeAdvice(action=HOLD, confidence=0.0) == NO_ADVICE
    assert features[0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert advisor.counters.num_unparsed == 1


def test_a_context_that_is_known_is_not_asked_again() -> None:
    oracle = Oracle()
    advisor = make_advisor(oracle)
    for _ in range(7):
        advisor.advance(NOBODY, [RISING] * 4 if advisor.wants_contexts() else None)
    assert oracle.batches == [[RISING]]
    assert advisor.counters.num_queries == 12
    assert advisor.counters.num_cached == 11


def test_without_a_cache_every_question_is_asked() -> None:
    oracle = Oracle()
    advisor = make_advisor(oracle, cache_size=0)
    for _ in range(7):
        advisor.advance(NOBODY, [RISING] * 4 if advisor.wants_contexts() else None)
    assert oracle.batches == [[RISING]] * 3


def test_a_rollout_begins_with_a_question() -> None:
    advisor = make_advisor(Oracle())
    asked = []
    for bar in range(8):
        if bar == 4:
            advisor.start_rollout()
        asked.append(advisor.wants_contexts())
        advisor.advance(NOBODY, [RISING] * 4 if asked[-1] else None)
    assert [bar for bar, asks in enumerate(asked) if asks] == [0, 3, 4, 7]


def test_advice_ages_until_newer_advice_comes() -> None:
    advisor = make_advisor(Oracle())
    ages = [advisor.advance(NOBODY, [RISING] * 4)[0, 4]]
    for _ in range(3):
        contexts = [RISING] * 4 if advisor.wants_contexts() else None
        ages += [advisor.advance(NOBODY, contexts)[0, 4]]
    assert ages == pytest.approx([0.0, 1 / 3, 2 / 3, 0.0])


def test_advice_ends_with_its_episode() -> None:
    advisor = make_advisor(Oracle())
    advisor.advance(NOBODY, [RISING] * 4)
    features = advisor.advance(np.array([True, False, False, False]), None)
    assert not features[0].any()
    assert features[1, BUY] == 1.0


def test_asynchronous_advice_comes_late_and_says_how_late() -> None:
    gate = threading.Event()
    advisor = make_advisor(Oracle(gate), asynchronous=True)
    try:
        assert not advisor.advance(NOBODY, [RISING] * 4).any()  # nothing is known, nobody waits
        ended = np.array([True, False, False, False])
        assert not advisor.advance(ended, None).any()
        gate.set()
        wait_for_answer(advisor)
        features = advisor.advance(NOBODY, None)
        assert not features[0].any()  # its question was of an episode that is over
        assert features[1, BUY] == 1.0
        assert features[1, 4] == pytest.approx(2 / 3)
        assert advisor.counters.age_bars == 2.0
        assert advisor.counters.waited_s == 0.0
    finally:
        gate.set()
        advisor.close()


def test_a_model_that_is_still_busy_is_not_asked_again() -> None:
    gate = threading.Event()
    oracle = Oracle(gate)
    advisor = make_advisor(oracle, asynchronous=True)
    try:
        for _ in range(4):
            advisor.advance(NOBODY, [RISING] * 4 if advisor.wants_contexts() else None)
        assert advisor.counters.num_skipped == 4
        assert advisor.counters.num_queries == 4
    finally:
        gate.set()
        advisor.close()
    assert oracle.batches == [[RISING]]


def test_an_asynchronous_model_that_fails_is_heard() -> None:
    class Broken(Oracle):
        def answer(self, contexts: Sequence[MarketContext]) -> Answers:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    advisor = make_advisor(Broken(), asynchronous=True)
    try:
        advisor.advance(NOBODY, [RISING] * 4)
        wait_for_answer(advisor)
        with pytest.raises(RuntimeError, match="out of memory"):
            advisor.advance(NOBODY, None)
    finally:
        advisor.close()


def wait_for_answer(advisor: Advisor) -> None:
    """Wait until the query under way has ended, without taking its answer."""
    pending = advisor._pending
    assert pending is not None
    pending.batch.exception(timeout=10.0)
