"""The questions to a language model, and the meaning of its answers. NumPy only, pure.

A context is the market in a few coarse steps, and the cache's key. Equal contexts give the same
prompt, so one answer serves them all.
"""

import collections
import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainables.market.features import FEATURES
from trainables.market.positions import BUY, HOLD, SELL
from trainables.pytorch_phase3.arrays import Floats

MarketContext = tuple[int, ...]
"""Trend, momentum, RSI, volatility, time of the session, position: each a small integer."""

_TREND_EDGES = (-2.0, -0.5, 0.5, 2.0)  # close over the 50-bar mean, in ATRs
_MOMENTUM_EDGES = (-1.0, -0.3, 0.3, 1.0)  # close over the 10-bar mean, in ATRs
_VOLATILITY_EDGES = (-0.2, 0.2)  # fast over slow ATR, minus 1
_SESSION_EDGES = (0.25, 0.5, 0.75)
_RSI_STEP = 5

_DIRECTIONS = ("falling fast", "falling", "flat", "rising", "rising fast")
_VOLATILITIES = ("low", "normal", "high")
_SESSIONS = ("opening", "late morning", "early afternoon", "close")
_POSITIONS = ("short", "none", "long")

_ACTIONS = {"hold": HOLD, "buy": BUY, "sell": SELL}
_ANSWER = re.compile(r"\s*(hold|buy|sell)\s*\|\s*(0(?:\.\d+)?|1(?:\.0+)?|\.\d+)\s*", re.IGNORECASE)

INSTRUCTION = (
    "You advise a day trader. Answer each market with one line: buy, sell or hold, then |, "
    "then your confidence from 0 to 1."
)
EXAMPLES = (
    ((4, 3, 70, 1, 0, 1), "buy | 0.8"),
    ((0, 1, 30, 2, 1, 1), "sell | 0.7"),
    ((2, 2, 50, 0, 2, 1), "hold | 0.6"),
)
"""Contexts with answers, shown before the question: small models follow a form, not a rule."""

EXTREMES = ((0, 0, 0, 0, 0, 0), (4, 4, 100, 2, 3, 2))
"""Two contexts that differ in everything: all prompts share what these two share."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TradeAdvice:
    """HOLD, BUY or SELL, and the confidence that the model gives, 0 to 1."""

    action: int
    confidence: float


MAX_NEW_TOKENS = 10
"""Tokens of an answer: `sell | 0.85` takes 7 with SmolLM2's tokenizer. Longer ones do not parse."""

NO_ADVICE = TradeAdvice(action=HOLD, confidence=0.0)
"""Advice in place of an answer that does not parse."""


def contexts_of(features: Floats, direction: Floats) -> list[MarketContext]:
    """Quantise each environment's bar and position.

    Args:
        features: [num_envs, NUM_FEATURES], see `trainables.market.features`.
        direction: [num_envs] 1 long, -1 short, 0 none.
    """
    by_name = dict(zip(FEATURES, features.T, strict=True))
    rsi = 50.0 + 50.0 * by_name["RSI"]
    columns: tuple[npt.NDArray[np.int64], ...] = (
        np.digitize(by_name["slow distance"], _TREND_EDGES),
        np.digitize(by_name["fast distance"], _MOMENTUM_EDGES),
        _RSI_STEP * np.rint(rsi / _RSI_STEP).astype(np.int64),
        np.digitize(by_name["ATR ratio"], _VOLATILITY_EDGES),
        np.digitize(by_name["session progress"], _SESSION_EDGES),
        direction.astype(np.int64) + 1,
    )
    return [tuple(map(int, row)) for row in np.stack(columns, axis=1)]


def describe(context: MarketContext) -> str:
    """Return a context in words."""
    trend, momentum, rsi, volatility, session, position = context
    return (
        f"trend {_DIRECTIONS[trend]}, momentum {_DIRECTIONS[momentum]}, RSI {rsi}, "
        f"volatility {_VOLATILITIES[volatility]}, session {_SESSIONS[session]}, "
        f"position {_POSITIONS[position]}"
    )


def conversation(context: MarketContext) -> list[dict[str, str]]:
    """Return the examples as turns of a chat, the question last.

    There is no system turn: some models' templates have none, and refuse it.
    """
    turns = []
    for example, answer in EXAMPLES:
        turns.append({"role": "user", "content": describe(example)})
        turns.append({"role": "assistant", "content": answer})
    turns.append({"role": "user", "content": describe(context)})
    turns[0]["content"] = f"{INSTRUCTION}\n{turns[0]['content']}"
    return turns


def plain_prompt(context: MarketContext) -> str:
    """Return the same as text to be continued, for a model without a chat template."""
    lines = [INSTRUCTION]
    lines += [f"Market: {describe(example)}\nAnswer: {answer}" for example, answer in EXAMPLES]
    return "\n".join([*lines, f"Market: {describe(context)}\nAnswer:"])


def parse(text: str) -> TradeAdvice | None:
    """Read `buy | 0.8` off the first line, strictly; `None` if it reads otherwise."""
    lines = text.strip().splitlines()
    match = _ANSWER.fullmatch(lines[0]) if lines else None
    if match is None:
        return None
    return TradeAdvice(action=_ACTIONS[match[1].lower()], confidence=float(match[2]))


class AdviceCache:
    """A least-recently-used cache of `capacity` contexts and their advice."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._advice: collections.OrderedDict[MarketContext, TradeAdvice] = (
            collections.OrderedDict()
        )

    def __len__(self) -> int:
        return len(self._advice)

    def get(self, context: MarketContext) -> TradeAdvice | None:
        """Return the advice for a context, `None` if it is not in the cache."""
        advice = self._advice.get(context)
        if advice is not None:
            self._advice.move_to_end(context)
        return advice

    def put(self, contexts: Sequence[MarketContext], advice: Sequence[TradeAdvice]) -> None:
        """Store answers; drop the least recently used beyond the capacity."""
        for context, answer in zip(contexts, advice, strict=True):
            self._advice[context] = answer
            self._advice.move_to_end(context)
        while len(self._advice) > self._capacity:
            self._advice.popitem(last=False)
