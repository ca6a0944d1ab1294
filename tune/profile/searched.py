"""The search behind a profile, as the profile's file tells of it. Pure."""

import dataclasses
from typing import Annotated, Literal

from cluster.structure import Count, NotNegative, Positive, PositiveCount, Rule
from trainables.measurement import OutcomeKind

_OUTCOME_NAMES = frozenset(OutcomeKind)
_Outcomes = Annotated[
    dict[str, Count],
    Rule(
        f"may only count {', '.join(sorted(_OUTCOME_NAMES))}",
        lambda counts: counts.keys() <= _OUTCOME_NAMES,
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePair:
    """The baseline's speed beside `num_beside` trials, as a share of its speed alone, and the 95 %
    interval of that.
    """

    num_beside: PositiveCount
    ratio: Positive
    low: Positive
    high: Positive


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """The number of trials beside each other while exploring, and whether finals ran so, too.

    `pair` tells what that does to a speed; it is absent where it was not measured. `searches` are
    the classes of the machine's other GPUs, which were searched at the same time.
    """

    exploring: PositiveCount
    finals: Literal["alone", "together"]
    pair: ProfilePair | None = None
    searches: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSearch:
    """The search behind the profile. `study` is its journal; the noise scale is in samples.

    `side_by_side` is of one that had several GPUs or hosts, or others beside it on its machine.
    """

    study: str
    objective: str
    gradient_noise_scale: Positive | None
    stop_reason: str
    wall_s: NotNegative
    trials: _Outcomes
    side_by_side: SideBySide | None = None
