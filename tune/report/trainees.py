"""The configurations that trained from scratch, as charts and tables show them. Pure."""

import dataclasses
from collections.abc import Sequence

from search_spaces.config import config_key, config_name, config_text
from tune.search.learned import Judgement, Learned
from tune.search.result import Kind, SearchResult

_BEST, _FASTEST, _BASELINE = "best", "steps fastest", "baseline"

_COLORS = {_BEST: "proof", _FASTEST: "accent", _BASELINE: "c2"}
_MORE_COLORS = ("c4", "c6", "c3", "c5")
"""The colours of those without a name; more than these cannot be told apart."""

MUTED = "c1"
"""The colour of all others."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trainee:
    """A configuration that trained: what it learned, and its looks, the same in every chart.

    `names` say what it is, as `best`; `config` is it in words; `color` is a class of the style.
    """

    learned: Learned
    config: str
    names: tuple[str, ...]
    color: str

    @property
    def is_best(self) -> bool:
        """Tell whether it is the one to train with."""
        return _BEST in self.names

    @property
    def is_muted(self) -> bool:
        """Tell whether it is but one of the others."""
        return self.color == MUTED

    @property
    def name(self) -> str | None:
        """Its names as one label."""
        return ", ".join(self.names) or None

    @property
    def legend(self) -> str:
        """Its line of a legend."""
        return ": ".join(filter(None, (self.name, self.config)))


def trainees(result: SearchResult, judgement: Judgement) -> list[Trainee]:
    """Return all that trained, the best first.

    Those with names have colours, and of the others some that trained with several seeds or are
    not told apart from the best.
    """
    texts = _texts(judgement.learned)
    more = iter(_MORE_COLORS)
    found = []
    for learned, text in zip(judgement.learned, texts, strict=True):
        names = _names(learned, result, judgement)
        is_close = learned.num_seeds > 1 or learned in judgement.tied
        color = _COLORS[names[0]] if names else next(more, MUTED) if is_close else MUTED
        found.append(Trainee(learned=learned, config=text, names=names, color=color))
    return sorted(found, key=lambda one: not one.is_best)


def _names(learned: Learned, result: SearchResult, judgement: Judgement) -> tuple[str, ...]:
    """Return what a configuration is; the best is the one that was chosen, if one was."""
    fastest, baseline = result.chosen.get(Kind.FASTEST), result.baseline
    chosen = result.chosen.get(Kind.LEARNING)
    configs = {
        _BEST: judgement.best.config if chosen is None else chosen.config,
        _FASTEST: None if fastest is None else fastest.config,
        _BASELINE: None if baseline is None else baseline.config,
    }
    return tuple(
        name for name, config in configs.items() if config and judgement.of(config) is learned
    )


def _texts(learned: Sequence[Learned]) -> list[str]:
    """Return the configurations in words: in few, where these tell them apart."""
    names = [config_name(one.config) for one in learned]
    keys = {config_key(one.config) for one in learned}
    return names if len(set(names)) == len(keys) else [config_text(one.config) for one in learned]
