"""Levers of the runtime in words: what each of those that were tried gained. Pure."""

from cluster.pages import units
from search_spaces.config import config_key
from tune.search.levers import LEAST_GAIN, Tried, Verdict, tried
from tune.search.result import Candidate, SearchResult
from tune.search.trial import Stage


def rows(result: SearchResult, winner: Candidate) -> list[tuple[str, str]]:
    """Return a row for each lever that was tried; none if none was."""
    finals = {config_key(one.config) for one in result.trials if one.stage is Stage.FINAL}
    return [
        ("lever", _text(one, winner, has_finals=config_key(one.config) in finals))
        for one in tried(result.trials)
    ]


def _text(one: Tried, winner: Candidate, *, has_finals: bool) -> str:
    verdict: str = one.verdict
    if one.verdict is Verdict.KEPT and config_key(one.config) != config_key(winner.config):
        seen = "its finals did not show it" if has_finals else "it came to no finals"
        verdict = f"not kept: {seen}"
    why = f" ({one.why})" if one.why else ""
    if one.gain is None:
        return f"{one.name}: {verdict}{why}"
    bounds = () if one.verdict is Verdict.NO_GAIN else (1.0, LEAST_GAIN)
    gained = units.times(one.gain.ratio, *bounds)
    interval = units.times_interval(one.gain.low, one.gain.high)
    return f"{one.name}: {gained} ({interval}), {verdict}{why}"
