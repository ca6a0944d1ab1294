"""A search's result for a terminal and for JSON, in the sentences of conclusion.py. Pure."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cluster.pages import units
from search_spaces.config import config_key, config_name
from tune.search.candidates import candidates_of
from tune.search.learned import Judgement
from tune.search.levers import tried
from tune.search.peaks import Peaks, peaks
from tune.search.result import Candidate, Kind, SearchResult
from tune.search.speedup import speedup
from tune.search.trial import Stage, Trial
from tune.summary.conclusion import Conclusion
from tune.summary.trials import outcome_label, unit_of


def render(conclusion: Conclusion, result: SearchResult) -> RenderableType:
    """Return the panel with the finals; its commands are printed apart, without wrapping."""
    color = "red" if not conclusion.succeeded else "yellow" if conclusion.warnings else "green"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in conclusion.rows:
        grid.add_row(Text(label, style="dim"), Text(text))
    for warning in conclusion.warnings:
        grid.add_row(Text("warning", style="bold yellow"), Text(warning, style="yellow"))
    parts: list[RenderableType] = [Text(conclusion.headline, style=f"bold {color}"), Text(), grid]
    finals = finals_rows(result)
    if finals:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for column in ("finals", f"{unit_of(result.trials)}/s", "processes", "memory"):
            table.add_column(column, header_style="bold", justify="left", overflow="fold")
        for row in finals:
            table.add_row(*map(Text, row))
        parts += [Text(), table]
    return Panel(Group(*parts), title="result", border_style=color, expand=False)


def finals_rows(result: SearchResult) -> list[tuple[str, str, str, str]]:
    """Return one row per configuration that was in the finals, the fastest first."""
    by_config: dict[Any, list[Trial]] = {}
    for trial in result.trials:
        if trial.stage is Stage.FINAL and trial.outcome is not None:
            by_config.setdefault(config_key(trial.config), []).append(trial)
    candidates = {config_key(one.config): one for one in candidates_of(result.trials)}
    rows = []
    for key, group in by_config.items():
        candidate = candidates.get(key)
        order, processes = 0.0, len(group)
        if candidate is not None and candidate.confirmed:
            order, processes = candidate.steps_per_second, candidate.num_processes
            speed = units.speed_interval(order, candidate.low, candidate.high)
        else:
            speed = next((outcome_label(one) for one in group if one.measurement is None), "")
        memory = max((t.device_bytes for t in group if t.device_bytes), default=None)
        name = config_name(group[0].config)
        if result.baseline is not None and config_key(group[0].config) == config_key(
            result.baseline.config
        ):
            name += " (baseline)"
        if candidate is not None and candidate.disturbed:
            name += " (disturbed)"
        rows.append((order, (name, speed, str(processes), units.size(memory))))
    return [row for _, row in sorted(rows, key=lambda item: -item[0])]


def to_dict(
    conclusion: Conclusion, result: SearchResult, profiles: Mapping[Kind, Path]
) -> dict[str, Any]:
    """Return the result as plain values for JSON: the figures, and the sentences for people."""
    chosen, baseline = {}, result.baseline
    for kind, candidate in result.chosen.items():
        chosen[kind.value] = _figures(candidate, peaks(candidate, result.trials))
        if kind in profiles:
            chosen[kind.value]["profile"] = str(profiles[kind])
        if baseline is not None:
            chosen[kind.value]["speedup"] = dataclasses.asdict(speedup(candidate, baseline))
    return {
        "succeeded": conclusion.succeeded,
        "partial": result.partial,
        "headline": conclusion.headline,
        "warnings": list(conclusion.warnings),
        "stop_reason": result.stop_reason,
        "wall_s": result.wall_s,
        "outcomes": {kind.value: count for kind, count in result.outcome_counts.items()},
        "learning": None if result.judgement is None else _learning(result.judgement),
        "levers": [dataclasses.asdict(one) for one in tried(result.trials)],
        "chosen": chosen,
        "baseline": None
        if baseline is None
        else _figures(baseline, peaks(baseline, result.trials)),
    }


def _learning(judgement: Judgement) -> dict[str, Any]:
    """Return what the trainings told, the best first; the curves are in trials.json."""
    return {
        "target": judgement.target,
        "by_target": judgement.by_target,
        "training_s": judgement.training_s,
        "not_told_apart": [one.config for one in judgement.tied],
        "learned": [
            {
                "config": one.config,
                "seconds": one.seconds,
                "final_returns": one.final_returns,
                "mean_returns": one.areas,
                "steps_per_second": one.steps_per_second,
            }
            for one in judgement.learned
        ],
    }


def _figures(candidate: Candidate, seen: Peaks) -> dict[str, Any]:
    soak = candidate.soak
    return {
        "config": candidate.config,
        "steps_per_second": candidate.promised,
        "low": candidate.promised_low,
        "high": candidate.high,
        "num_processes": candidate.promised_processes,
        "confirmed": candidate.confirmed,
        "disturbed": candidate.disturbed,
        "device_bytes": candidate.device_bytes,
        "peak_host_bytes": seen.host_bytes,
        "peak_threads": seen.num_threads,
        "thread_cap": seen.thread_cap,
        "soaked_updates": None if soak is None else soak.num_updates,
    }
