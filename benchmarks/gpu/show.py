"""The tables of a card's record, as Markdown. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.gpu import deaths, language_model, memory, neighbours, search, speed
from benchmarks.gpu.recording import CardRecord, Row
from benchmarks.markdown import row
from cluster.pages import units

CardRows = Mapping[str, Row]


def lines(record: CardRecord) -> Iterator[str]:
    """Yield all tables of the record; a part without rows has none."""
    versions = record.machine["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("jax", "torch") if name in versions)
    if record.rehearsed:
        yield "**A rehearsal on a CPU: it says nothing about a card.**"
    yield f"`{record.machine_class}`, driver {record.machine.get('driver_version')}, {named}"
    for name, table in _TABLES.items():
        part = record.parts.get(name)
        if part is None:
            continue
        unfinished = "" if part.is_done else ", not finished"
        yield ""
        yield f"### {name.capitalize()} ({units.duration(part.wall_s)}{unfinished})"
        yield ""
        if part.rows:
            yield from table(part.rows)
        if part.problems:
            yield ""
            yield from (f"- {problem}" for problem in part.problems)


def _search(rows: CardRows) -> Iterator[str]:
    yield from _head("", "")
    found = rows.get("search", {})
    finished = found.get("finished")
    if isinstance(finished, dict):
        yield row(("result", str(finished.get("headline", finished.get("sentence", "")))))
    yield row(("threads of the whole search, at most", f"{found.get('peak_threads')}"))
    peaks = [trial["outcome"].get("peak_threads") or 0 for trial in found.get("trials", ())]
    if peaks:
        expected = found["expected_trial_threads"]
        yield row(("threads of a trial, at most", f"{max(peaks)}, expected {expected}"))
    for trial in found.get("trials", ()):
        outcome = trial["outcome"]
        seconds = outcome.get("seconds_by_phase") or {}
        phases = ", ".join(f"{phase} {spent:.1f} s" for phase, spent in seconds.items())
        sizes = " x ".join(str(value) for value in trial["config"].values())
        yield row((f"trial {trial['number']} ({trial['stage']}), {sizes}", phases))
    for key, one in rows.items():
        if key.startswith("validation"):
            yield row((key, one.get("skipped") or " ".join(one["output"][-1:])))


def _memory(rows: CardRows) -> Iterator[str]:
    yield from _head("envs x steps / batch", "predicted", "peak", "peak / predicted", "outcome")
    for key, one in rows.items():
        predicted = one.get("predicted_device_bytes")
        peak = (one.get("measurement") or {}).get("peak_device_bytes")
        ratio = f"{peak / predicted:.2f}" if peak and predicted else "-"
        yield row((key, units.size(predicted), units.size(peak), ratio, one["kind"]))


def _deaths(rows: CardRows) -> Iterator[str]:
    yield from _head("case", "outcome", "sentence")
    for key, one in rows.items():
        yield row((key, one["kind"], one["message"]))


def _speed(rows: CardRows) -> Iterator[str]:
    yield from _head(
        "", "ours", "reference", "ratio", "launches, ours", "reference", "us per launch", "compile"
    )
    for key, one in rows.items():
        measured, compiled = one["measured"], one["compiled"]
        if not measured or not compiled:
            yield row((key, *["died"] * 7))
            continue
        ours, theirs = measured["ours"], measured["reference"]
        launches = compiled["ours"]["launches"]
        yield row(
            (
                key,
                units.speed(ours["steps_per_second"]),
                units.speed(theirs["steps_per_second"]),
                f"{measured['ratio']:.2f}",
                f"{launches:,}",
                f"{compiled['reference']['launches']:,}",
                f"{1e6 * ours['update_s'] / launches:.1f}",
                units.duration(compiled["ours"]["compile_s"]),
            )
        )


def _levers(rows: CardRows) -> Iterator[str]:
    yield from _head("", "env steps/s", "against as it is", "compile")
    for key, one in rows.items():
        plain = rows.get(f"{key.partition(': ')[0]}: as it is")
        yield row((key, *_against(one, plain)))


def _compiling(rows: CardRows) -> Iterator[str]:
    yield from _head("", "env steps/s", "against the first", "compile")
    first = next(iter(rows.values()))
    for key, one in rows.items():
        yield row((key, *_against(one, first)))


def _against(one: Row, other: Row | None) -> tuple[str, str, str]:
    if not one["measured"] or not one["compiled"]:
        return "died", "-", "-"
    speed_here = one["measured"]["ours"]["steps_per_second"]
    compile_s = f"{one['compiled']['ours']['compile_s']:.1f} s"
    if not other or not other["measured"]:
        return units.speed(speed_here), "-", compile_s
    ratio = speed_here / other["measured"]["ours"]["steps_per_second"]
    return units.speed(speed_here), f"{ratio:.2f} x", compile_s


def _phase3(rows: CardRows) -> Iterator[str]:
    yield from _head("", "outcome", "env steps/s", "predicted", "peak", "sentence")
    for key, one in rows.items():
        measured: dict[str, Any] = one.get("measurement") or {}
        speed_here = measured.get("steps_per_second")
        yield row(
            (
                key,
                one["kind"],
                "-" if speed_here is None else units.speed(speed_here),
                units.size(one.get("predicted_device_bytes")),
                units.size(measured.get("peak_device_bytes")),
                one["message"],
            )
        )


def _polling(rows: CardRows) -> Iterator[str]:
    yield from _head("", "one look", "speed after a look")
    for key, one in rows.items():
        if one["measured"]:
            polled = one["measured"]["polling"]
            yield row((key, f"{1000 * polled['look_s']:.1f} ms", f"{polled['ratio']:.3f} x"))


def _neighbours(rows: CardRows) -> Iterator[str]:
    yield from _head(
        *("beside", "trials", "speed", "told", "others' CPUs", "blocks with others on the card"),
        *("utilisation, %", "power, W", "products", "memory", "hand-over"),
    )
    yield from map(row, neighbours.figures(rows))


def _head(*names: str) -> Iterator[str]:
    yield row(names)
    yield row(("---", *["---:"] * (len(names) - 1)))


_TABLES: dict[str, Callable[[CardRows], Iterator[str]]] = {
    search.SEARCH: _search,
    memory.MEMORY: _memory,
    deaths.DEATHS: _deaths,
    speed.SPEEDS: _speed,
    speed.LEVERS: _levers,
    speed.COMPILING: _compiling,
    language_model.LANGUAGE_MODEL: _phase3,
    speed.POLLING: _polling,
    neighbours.BESIDE: _neighbours,
}
