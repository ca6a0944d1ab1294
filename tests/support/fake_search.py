"""A search that only pretends: the events, journal, log and profiles of one, in seconds.

It runs on the boxes of the fleet's tests, and obeys --out, --profiles, --json, --resume, --shard,
--known and SIGTERM as `python -m tune.jax_phase12` does.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import yaml


def main() -> int:
    arguments = _parse()
    run, profiles = arguments.out, arguments.profiles
    journal = run / "journal.log"
    if arguments.resume != journal.exists():
        print("--resume does not fit the journal", file=sys.stderr)
        return 2
    run.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    # A trial leads a session of its own, and here it would outlive the search.
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    share = _share(arguments)
    _emit("started", task="fake", max_runs=len(share), max_time_s=arguments.max_time_s)
    if arguments.dashboard_port is not None:
        _emit("dashboard", url=f"http://127.0.0.1:{arguments.dashboard_port}")
    if arguments.known and not arguments.resume:
        journal.write_text("".join(known.read_text() for known in arguments.known))
    try:
        for number in sorted(share - _numbers(journal)):
            _trial(number, arguments, journal)
        time.sleep(0.0 if arguments.shard else arguments.finals_s)
    except KeyboardInterrupt:
        _finish(arguments, profiles, journal, partial=True)
        return 130
    if arguments.fail is not None:
        print("nothing fits here", file=sys.stderr)
        return int(arguments.fail)
    if arguments.shard:
        _emit("finished", headline=f"Explored {arguments.shard}.", succeeded=True, chosen={})
        return 0
    _finish(arguments, profiles, journal, partial=False)
    return 0


def _share(arguments: argparse.Namespace) -> set[int]:
    """The numbers of the trials to explore: all, or those of a part."""
    number, count = map(int, (arguments.shard or "1/1").split("/"))
    return set(range(number - 1, arguments.trials, count))


def _numbers(journal: Path) -> set[int]:
    lines = journal.read_text().splitlines() if journal.exists() else []
    return {json.loads(line)["number"] for line in lines}


def _trial(number: int, arguments: argparse.Namespace, journal: Path) -> None:
    trial = {"number": number, "stage": "search", "config": {"num_envs": 2**number}}
    began_at = time.time()
    _emit("trial_started", trial=trial)
    _emit("trial_progress", number=number, phase="measure")
    time.sleep(arguments.trial_s)
    speed = arguments.speed * (number + 1) / arguments.trials
    with journal.open("a") as file:
        times = {"began_at": began_at, "ended_at": time.time()}
        file.write(json.dumps(trial | {"speed": speed} | times) + "\n")
    outcome = {"kind": "completed", "measurement": {"steps_per_second": speed}}
    _emit("trial_ended", trial=trial | {"outcome": outcome})


def _finish(arguments: argparse.Namespace, folder: Path, journal: Path, *, partial: bool) -> None:
    num_trials = len(_numbers(journal))
    if num_trials == 0 or arguments.shard:
        return
    speed = arguments.speed * num_trials / arguments.trials
    config = {"num_envs": 2 ** (num_trials - 1)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{arguments.machine_class}-fake-fastest.yaml"
    document = {
        "schema_version": 1,
        "kind": "fastest",
        **config,
        "expected_sps": speed,
        "confirmed": not partial,
        "partial": partial,
        "config": config,
        "speed": {"low": speed * 0.99, "high": speed * 1.01},
        "workload": {"factory": "fake:workload", "options": {}},
        "data": {"source": "synthetic", "sha256": "0" * 64},
        "search": {"objective": "throughput"},
        "machine_class": arguments.machine_class,
    }
    path.write_text("# A header.\n" + yaml.safe_dump(document))
    _emit(
        "finished",
        headline="Found it.",
        succeeded=not partial,
        chosen={"fastest": {"steps_per_second": speed, "config": config}},
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--profiles", type=Path, required=True)
    parser.add_argument("--json", action="store_true", required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--dashboard", action="store_true")
    parser.add_argument("--dashboard-port", type=int)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--trial-s", type=float, default=0.3)
    parser.add_argument("--finals-s", type=float, default=0.0)
    parser.add_argument("--speed", type=float, default=50_000.0)
    parser.add_argument("--max-time-s", type=float)
    parser.add_argument("--machine-class", default="fake-gpu-24gb")
    parser.add_argument("--fail")
    parser.add_argument("--shard")
    parser.add_argument("--known", type=Path, nargs="+", default=[])
    parser.add_argument("words", nargs="*")
    return parser.parse_args()


def _emit(event: str, **fields: object) -> None:
    print(json.dumps({"schema": 1, "event": event, **fields}), flush=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
