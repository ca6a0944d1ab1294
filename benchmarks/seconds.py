"""An account of the seconds of a search.

    python -m benchmarks.seconds RUN_FOLDER ...

It reads trials.json of finished searches. `could win` are trials that were measured to their end,
in exploring, finals and soak. Trials that were stopped as slow, met a limit or failed could not
win. `driver` is all time outside trials: preflight, Ray's start and end, the time between two
trials. A resumed search knows the seconds of its last session only, so its driver has no row.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_PHASES = {
    "start": "startup_s",  # from the spawn to our first line: the interpreter
    "import and build": "build_s",  # JAX, and the workload with its data
    "compile": "compile_s",
    "warm-up": "warmup_s",  # the first state's program, and the first updates
    "measure": "measure_s",
}
_END, _UNTOLD, _AHEAD, _DRIVER = "end", "of trials without a measurement", "compile ahead", "driver"
PAYS = ("compile", "measure")


def account(document: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the seconds by use: all of them, and those of configurations that could win.

    Args:
        document: the content of trials.json.
    """
    table = dict.fromkeys((*_PHASES, _END, _UNTOLD), (0.0, 0.0))

    def add(name: str, seconds: float, *, could_win: bool) -> None:
        all_s, winning_s = table[name]
        table[name] = (all_s + seconds, winning_s + could_win * seconds)

    in_trials_s = 0.0
    for trial in document["trials"]:
        outcome = trial["outcome"]
        if outcome is None or trial["excluded"]:
            continue
        in_trials_s += outcome["wall_s"]
        measurement = outcome["measurement"]
        if measurement is None:
            add(_UNTOLD, outcome["wall_s"], could_win=False)
            continue
        could_win = outcome["kind"] == "completed"
        told = {name: measurement[field] for name, field in _PHASES.items()}
        for name, seconds in told.items():
            add(name, seconds, could_win=could_win)
        add(_END, outcome["wall_s"] - sum(told.values()), could_win=could_win)
    wall_s, ahead_s = document.get("wall_s"), document.get("compiling_ahead_s") or 0.0
    table[_AHEAD] = (ahead_s, 0.0)
    if wall_s is not None and wall_s >= in_trials_s + ahead_s:
        table[_DRIVER] = (wall_s - in_trials_s - ahead_s, 0.0)
    return table


def share(table: Mapping[str, tuple[float, float]], names: Iterable[str]) -> float:
    """Return the share of all seconds that `names` took for configurations that could win."""
    return sum(table[name][1] for name in names) / sum(all_s for all_s, _ in table.values())


def main(arguments: list[str]) -> int:
    """Print one table per folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", metavar="RUN_FOLDER", nargs="+")
    for folder in parser.parse_args(arguments).folders:
        path = Path(folder) / "trials.json"
        try:
            table = account(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            print(f"{path} is no search's: {error}", file=sys.stderr)
            return 2
        total_s = sum(all_s for all_s, _ in table.values())
        print(f"{folder}: {total_s:.0f} s")
        print(f"{'':>32}{'seconds':>9}{'share':>8}{'could win':>12}")
        for name, (all_s, winning_s) in table.items():
            print(f"{name:>32}{all_s:>9.1f}{all_s / total_s:>8.1%}{winning_s:>12.1f}")
        print(f"compile + measure of configurations that could win: {share(table, PAYS):.0%}")
        with_warmup = share(table, (*PAYS, "warm-up"))
        print(f"with their warm-up, which is training too: {with_warmup:.0%}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
