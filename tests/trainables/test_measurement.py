"""The wire: what goes down and up arrives as it was, and nothing else is taken for a message."""

import dataclasses
import json
import math

import pytest

from cluster.structure import StructureError, revive
from trainables.measurement import (
    Measurement,
    Message,
    Outcome,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
    WireError,
    decode,
    encode,
)
from trainables.sampling import Sampling

MEASUREMENT = Measurement(
    steps_per_second=1000.5,
    low=990.0,
    high=1010.0,
    converged=True,
    num_blocks=5,
    num_updates=60,
    env_steps_per_update=4096,
    startup_s=0.5,
    build_s=0.1,
    compile_s=2.0,
    warmup_s=1.0,
    measure_s=2.5,
    flops_per_update=1e9,
    predicted_device_bytes=2**30,
    peak_device_bytes=None,
    num_compilations=3,
    gpu_utilization=None,
    gpu_temperature_c=None,
    gpu_power_w=None,
    health={"loss": 0.25},
)


@pytest.mark.parametrize(
    "message",
    [
        Progress(phase=Phase.BUILD),
        Progress(phase=Phase.WARMUP, predicted_device_bytes=2**40),
        Report(kind=OutcomeKind.INVALID, message='a line\nbreak, "quotes" and ü'),
        Report(kind=OutcomeKind.COMPLETED, message="measured.", measurement=MEASUREMENT),
    ],
)
def test_messages_arrive_as_they_were(message: Message) -> None:
    line = encode(message)
    assert line.count("\n") == 1
    assert decode(line) == message


def test_nan_and_inf_arrive() -> None:
    measurement = dataclasses.replace(MEASUREMENT, health={"loss": math.nan, "entropy": math.inf})
    report = Report(kind=OutcomeKind.UNSTABLE, message="loss is nan.", measurement=measurement)
    arrived = decode(encode(report))
    assert isinstance(arrived, Report)
    assert arrived.measurement is not None
    assert math.isnan(arrived.measurement.health["loss"])
    assert arrived.measurement.health["entropy"] == math.inf


@pytest.mark.parametrize(
    "line",
    [
        "",
        "WARNING: a library wrote to our pipe",
        "null",
        "17",
        '["progress"]',
        "{}",
        '{"type": "progress"}',
        '{"type": "gossip", "phase": "build"}',
        '{"type": "progress", "phase": "lunch"}',
        '{"type": "progress", "phase": "build", "mood": "good"}',
        '{"type": ["progress"], "phase": "build"}',
        '{"type": "report", "kind": "completed", "message": "x", "measurement": {}}',
        '{"type": "report", "kind": "completed", "message": "x", "measurement": 5}',
        '{"type": "report", "kind": "comp',
        "[" * 100_000,
    ],
)
def test_anything_else_is_refused_with_the_line(line: str) -> None:
    with pytest.raises(WireError, match="not a trial's message") as error:
        decode(line)
    assert repr(line[:200]) in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "sent",
    [
        TrialRequest(
            workload="a.b:c",
            config={"num_envs": 64},
            options={"data": None, "phase": 2},
            platform="cuda",
            cpus=(0, 3),
            device_budget_bytes=2**33,
            sampling=Sampling(min_blocks=3),
            slow_below=1e5,
            num_updates=200,
        ),
        TrialRequest(workload="a:c", config={}, options={}, platform="cpu", cpus=()),
        Outcome(
            kind=OutcomeKind.TIMEOUT,
            message="its time was up.",
            wall_s=1.0,
            thread_cap=4,
            measurement=MEASUREMENT,
        ),
    ],
)
def test_dataclasses_survive_json(sent: TrialRequest | Outcome) -> None:
    assert revive(type(sent), json.loads(json.dumps(dataclasses.asdict(sent)))) == sent


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(StructureError, match="mood: unknown key; known are block_s,"):
        revive(Sampling, {"mood": "good"})


def test_an_absent_field_takes_its_default_so_that_old_journals_load() -> None:
    fields = {"kind": "timeout", "message": "its time was up.", "wall_s": 1.0, "thread_cap": 4}
    outcome = revive(Outcome, fields)
    assert (outcome.log, outcome.threads_by_phase) == (None, None)


def test_a_number_comes_as_it_was_sent() -> None:
    sent = dataclasses.replace(MEASUREMENT, gpu_temperature_c=61, health={"loss": None})
    fields = json.loads(json.dumps(dataclasses.asdict(sent)))
    assert json.dumps(dataclasses.asdict(revive(Measurement, fields))) == json.dumps(fields)
