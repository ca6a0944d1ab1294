"""A configuration that is tried out alone for some seconds, before a search or in its place."""

import contextlib
import dataclasses
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.node import nvml, ray_env, thread_env
from cluster.pages import units
from search_spaces.config import Config, config_text, num_devices, variables_of
from trainables.classify import last_words
from trainables.measurement import Measurement, Outcome, OutcomeKind, Phase, TrialRequest
from trainables.process import run_child
from trainables.sampling import Sampling
from tune.preflight import judge
from tune.preflight.findings import Preflight

_SAMPLING = Sampling(relative_half_width=0.2, min_blocks=3, max_measure_s=4.0)
_LOG_LINES = 12
_TOLD_EVERY_S = 30.0
_RUNS = (Phase.WARMUP, Phase.MEASURE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TriedOut:
    """A configuration that ran, its outcome, and what it wrote."""

    config: Config
    outcome: Outcome
    measurement: Measurement
    log: str

    @property
    def needs(self) -> str:
        """The time, the memory and the threads of such a trial."""
        outcome, measured = self.outcome, self.measurement
        needs = [f"{units.duration(outcome.wall_s)} a trial"]
        if outcome.peak_host_bytes is not None:
            needs.append(f"{units.size(outcome.peak_host_bytes)} of host memory")
        device_bytes = measured.peak_device_bytes or outcome.predicted_device_bytes
        if device_bytes is not None:
            needs.append(f"{units.size(device_bytes)} of the device's")
        if outcome.peak_threads is not None:
            needs.append(units.plural(outcome.peak_threads, "thread"))
        return ", ".join(needs)

    def sentences(self, source: str = "") -> list[str]:
        """Return the findings in sentences; `source` says where the speed was read."""
        measured = self.measurement
        speed = units.speed_interval(measured.steps_per_second, measured.low, measured.high)
        told = ", ".join(f"{name} {value:.4g}" for name, value in measured.health.items())
        lines = [f"{config_text(self.config)}: {speed} {measured.unit}/s{source}, {self.needs}."]
        return [*lines, f"It says: {told}."] if told else lines


def tell_who_waits(text: str) -> None:
    """Say a sentence on stderr: stdout has what was found, and a program may read it."""
    print(text, file=sys.stderr, flush=True)


def try_out(
    workload: str,
    options: Mapping[str, Any],
    config: Config,
    preflight: Preflight,
    timeout_s: float,
    tell: Callable[[str], None] = tell_who_waits,
) -> TriedOut:
    """Run one configuration of a workload until its speed can be told.

    While there is none, `tell` is told each half minute what was written at last.

    Raises:
        UserError: if it cannot run, or nothing can be measured of it.
    """
    judge.require_fit(preflight)
    assert preflight.thread_env is not None
    caps, chosen = preflight.thread_env, variables_of(config)
    base = ray_env.for_child(os.environ) | chosen
    several = [gpu.name for gpu in preflight.gpus[: num_devices(config)]]
    shown = {nvml.VISIBLE: ",".join(several)} if several else {}
    request = TrialRequest(
        workload=workload,
        config=config,
        options=dict(options),
        platform=preflight.platform,
        cpus=caps.cpus,
        sampling=_SAMPLING,
    )
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        log = Path(folder, "probe.log")
        messages = run_child(
            request,
            environment=thread_env.with_chosen(base | caps.variables | shown, chosen),
            log_path=log,
            thread_cap=caps.cap,
            timeout_s=timeout_s,
            temporary=Path(folder, "t"),  # short, for sockets below it
        )
        outcome = None
        with _patience(log, tell) as end_patience:
            for message in messages:
                if isinstance(message, Outcome):
                    outcome = message
                elif message.phase in _RUNS:
                    end_patience()
        text = _read(log)
    assert outcome is not None
    if outcome.kind is not OutcomeKind.COMPLETED or outcome.measurement is None:
        said = "\n".join(f"  {line}" for line in text.splitlines()[-_LOG_LINES:])
        raise UserError(
            f"{config_text(config)} cannot be timed: {outcome.message}"
            + (f"\nIt wrote at last:\n{said}" if said else "")
        )
    return TriedOut(config=config, outcome=outcome, measurement=outcome.measurement, log=text)


@contextlib.contextmanager
def _patience(log: Path, tell: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Tell what is written at last, until the function that is yielded is called."""
    ended, started = threading.Event(), time.monotonic()

    def tell_it() -> None:
        while not ended.wait(_TOLD_EVERY_S):
            elapsed = units.duration(time.monotonic() - started)
            text = _read(log)
            wrote = f"at last it wrote: {last_words(text)}" if text.strip() else "it wrote nothing"
            tell(f"No speed yet after {elapsed}; {wrote}")

    thread = threading.Thread(target=tell_it, daemon=True)
    thread.start()
    try:
        yield ended.set
    finally:
        ended.set()
        thread.join()


def _read(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""
