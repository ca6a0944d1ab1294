"""A workload that is ready: what it tells, where it can, and the reports on it."""

import dataclasses

import factories
import fake_workloads
from trainables.built import Built
from trainables.measurement import OutcomeKind, Report
from trainables.workload import CompiledProgram

SILENT = Built(
    workload=fake_workloads.Sleeper({}, {}),
    program=CompiledProgram(device_bytes=2**20),
    startup_s=0.1,
    build_s=0.2,
    compile_s=0.3,
)


def test_a_workload_that_cannot_tell_has_no_device_and_no_fingerprint() -> None:
    assert SILENT.device_usage is None
    assert SILENT.fingerprint == b""


def test_device_and_fingerprint_are_looked_at_each_time() -> None:
    full = fake_workloads.Full({"compiles_per_run": 1}, {})
    built = dataclasses.replace(SILENT, workload=full)
    for count in range(2):
        usage = built.device_usage
        assert usage is not None
        assert (usage.platform, usage.num_compilations) == ("cpu", count)
        full.run(0)
    solved = fake_workloads.Solved({"update_ms": 0}, {})
    built = dataclasses.replace(SILENT, workload=solved)
    assert built.fingerprint == b"\0"
    solved.run(2)
    assert built.fingerprint == b"\2"


def test_a_report_has_the_verdict_and_the_bytes_that_were_predicted() -> None:
    assert SILENT.report((OutcomeKind.SLOW, "too slow.")) == Report(
        kind=OutcomeKind.SLOW, message="too slow.", predicted_device_bytes=2**20
    )
    measurement = factories.measurement()
    assert SILENT.report((OutcomeKind.COMPLETED, "."), measurement).measurement is measurement
