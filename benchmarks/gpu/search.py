"""Parts 1 and 2: preflight, a whole search, its profile validated twice; threads all along."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.gpu.bench import Bench, sizes
from benchmarks.gpu.recording import Row, is_measured
from cluster.node import thread_env
from trainables.measurement import OutcomeKind
from tune.preflight import judge, view
from tune.preflight.findings import PreflightRequest

SEARCH = "search"
_LOOK_S = 0.25
_REHEARSED = (
    "--workload benchmarks.gpu.hungry:idle --space num_envs=1,2 --max-runs 2 "
    "--finalists 1 --final-rounds 1 --soak-updates 3 --device cpu"
)
_SEARCH_S, _OVERTIME_S, _VALIDATION_S = 240.0, 120.0, 90.0


def measure(bench: Bench) -> None:
    """Measure what is missing of the part."""
    if not bench.has(SEARCH, "preflight"):
        preflight = judge.check(PreflightRequest(device="cpu" if bench.rehearses else "gpu"))
        limits = preflight.findings.thread_limits.limits
        facts = {
            "meaning": view.meaning(preflight),
            "device_budget_bytes": preflight.device_budget_bytes,
            "host_budget_bytes": preflight.host_budget_bytes,
            "limits": {one.name.partition(" /")[0]: [one.limit, one.use] for one in limits},
        }
        bench.add(SEARCH, "preflight", facts)
    profiles = bench.folder / "profiles"
    if not bench.has(SEARCH, "search"):
        bench.require_time(_SEARCH_S)
        bench.add(SEARCH, "search", _search(bench, profiles))
    for number in (1, 2):
        key = f"validation {number}"
        if not bench.has(SEARCH, key):
            found = sorted(profiles.glob("*-fastest.yaml"))
            if not found:  # the search was measured in an earlier session, or found nothing
                bench.cannot(SEARCH, f"{key}: no profile lies here.")
                continue
            bench.require_time(_VALIDATION_S)
            bench.add(SEARCH, key, _validate(bench, found[0]))


def _search(bench: Bench, profiles: Path) -> Row:
    folder = bench.folder / "run"
    arguments = _REHEARSED.split() if bench.rehearses else ["--max-time", f"{_SEARCH_S:.0f}"]
    command = [sys.executable, "-m", "tune.jax_phase12", "--json", *arguments]
    command += ["--out", str(folder), "--profiles", str(profiles)]
    log = bench.folder / "search.log"  # apart: a warning within a line would spoil the event
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as p,
    ):
        peak = _PeakThreads(p.pid)
        try:
            output = p.communicate(timeout=_SEARCH_S + _OVERTIME_S)[0]
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGINT)  # it keeps its best so far
            output = p.communicate()[0]
        finally:
            peak.end()
    events = list(events_in(output))
    last = [event for event in events if event["event"] == "finished"]
    table = folder / "trials.json"
    trials = json.loads(table.read_text())["trials"] if table.exists() else []
    cap = max((trial["outcome"]["thread_cap"] for trial in trials), default=bench.thread_cap)
    return {
        "arguments": arguments,
        "exit_code": p.returncode,
        "peak_threads": peak.threads,
        "expected_trial_threads": thread_env.expected_threads(cap, bench.platform),
        "memory": [event for event in events if event["event"] == "memory"],
        "finished": last[0] if last else (output + log.read_text(errors="replace"))[-3000:],
        "trials": trials,
    }


def events_in(output: str) -> Iterator[dict[str, Any]]:
    """Yield the events that a search printed; a line that is none is left out."""
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                yield event


def _validate(bench: Bench, profile: Path) -> Row:
    command = [sys.executable, "-m", "tune.profile", "validate", str(profile)]
    row = run_to_end(command, timeout_s=max(1.0, min(2 * _VALIDATION_S, bench.left_s)))
    if not is_measured(row):
        bench.require_time(1.0)  # or else the end of all time ended it
    return row


def run_to_end(command: Sequence[str], *, timeout_s: float) -> Row:
    """Run a command; return its exit code and lines, or what it had printed in that time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as expired:  # its texts are bytes, or absent
        printed = (expired.stdout or b"") + (expired.stderr or b"")
        text = printed.decode(errors="replace")
        return {"kind": OutcomeKind.TIMEOUT.value, "exit_code": None, "output": text.splitlines()}
    return {"exit_code": done.returncode, "output": (done.stdout + done.stderr).splitlines()}


class _PeakThreads:
    """The most threads that a process and all its descendants had at one look."""

    def __init__(self, pid: int) -> None:
        self.threads = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_S):
            try:
                root = psutil.Process(self._pid)
                tree = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            self.threads = max(self.threads, sum(map(_num_threads, tree)))


def _num_threads(process: psutil.Process) -> int:
    try:
        return int(process.num_threads())
    except psutil.NoSuchProcess:
        return 0


BASELINE = sizes(512, 128, 8192)
"""The framework default's rollout in the smallest size of a GPU's space."""
