"""The child's program: what it reports of each kind of workload, and that its caps come first."""

import dataclasses
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from places import PYTHONPATH
from trainables import trial
from trainables.curve import LearningGate, TrainingRequest
from trainables.measurement import (
    Measurement,
    Message,
    Outcome,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
)
from trainables.process import TRIAL_COMMAND, run_child
from trainables.sampling import Sampling

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH}
QUICK = Sampling(block_s=0.02, min_blocks=3, max_measure_s=1.0, relative_half_width=0.5)
ONE_CPU = (min(os.sched_getaffinity(0)),)


def request_for(
    workload: str, config: Mapping[str, int] | None = None, **fields: Any
) -> TrialRequest:
    return TrialRequest(
        **{
            "workload": f"fake_workloads:{workload}",
            "config": dict(config or {}),
            "options": {},
            "platform": "cpu",
            "cpus": ONE_CPU,
            "sampling": QUICK,
            **fields,
        }
    )


def run_here(request: TrialRequest) -> tuple[Report, list[Message]]:
    """Run the trial in this process: no caps, no wire, but all of its judgements."""
    sent: list[Message] = []
    report = trial.run_trial(request, sent.append, time.monotonic())
    return report, sent


def run_alive(request: TrialRequest, tmp_path: Path, *, timeout_s: float = 60.0) -> Outcome:
    *_, outcome = run_child(
        request,
        environment=ENVIRONMENT,
        log_path=tmp_path / "trial.log",
        thread_cap=1,
        timeout_s=timeout_s,
    )
    assert isinstance(outcome, Outcome)
    return outcome


def measured(report: Report | Outcome) -> Measurement:
    assert report.measurement is not None, report.message
    return report.measurement


def test_a_full_workload_is_measured_with_all_it_can_tell() -> None:
    report, sent = run_here(request_for("Full", {"device_bytes": 2**30}, device_budget_bytes=2**31))
    measurement = measured(report)
    assert report.kind is OutcomeKind.COMPLETED
    assert sent == [
        Progress(phase=Phase.IMPORT),
        Progress(phase=Phase.BUILD),
        Progress(phase=Phase.COMPILE),
        Progress(phase=Phase.WARMUP, predicted_device_bytes=2**30),
        Progress(phase=Phase.MEASURE, predicted_device_bytes=2**30),
    ]
    assert report.predicted_device_bytes == measurement.predicted_device_bytes == 2**30
    assert measurement.peak_device_bytes == 3 * 2**20
    assert measurement.flops_per_update == 1e6
    assert measurement.num_compilations == 1
    assert measurement.health == {"mean_return": 1.5, "loss": 0.25, "gradient_noise_scale": 512.0}
    assert measurement.gpu_power_w is None
    assert 0 < measurement.low <= measurement.steps_per_second <= measurement.high
    assert measurement.steps_per_second <= 100 / 0.020  # a sleep is never shorter
    assert measurement.num_blocks >= 3
    for seconds in (measurement.startup_s, measurement.build_s, measurement.compile_s):
        assert seconds >= 0
    assert measurement.warmup_s >= 0.04
    assert measurement.measure_s >= 0.06


def test_a_workload_that_implements_nothing_optional_is_measured_too() -> None:
    measurement = measured(run_here(request_for("Sleeper"))[0])
    assert measurement.health == {}
    assert measurement.predicted_device_bytes is None
    assert measurement.num_compilations is None


def test_compiling_on_every_call_is_seen_in_a_loop_that_cannot_say_so(tmp_path: Path) -> None:
    outcome = run_alive(request_for("compiles_on_every_call"), tmp_path)
    assert outcome.kind is OutcomeKind.ERROR
    assert "times during steady updates" in outcome.message


def test_a_training_that_the_compiler_removes_is_an_error(tmp_path: Path) -> None:
    outcome = run_alive(request_for("trains_for_nothing"), tmp_path)
    assert outcome.kind is OutcomeKind.ERROR
    assert outcome.message.startswith("100% of the update's matrix products reach neither")
    kept = run_alive(request_for("trains_for_nothing", {"kept": 1}), tmp_path)
    assert kept.kind is OutcomeKind.COMPLETED


CUDA = {"platform": "cuda"}


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        (request_for("invalid"), "invalid", "batch_size must divide 32 x 128 samples, got 1000."),
        (request_for("bad_input"), "error", "bars.csv, row 7: high is below low."),
        (request_for("nowhere"), "error", "fake_workloads has no function 'nowhere'"),
        (
            request_for("Full", {"device_bytes": 2**31}, device_budget_bytes=2**30),
            "device_memory",
            "needs 2.00 GiB of device memory, the budget is 1.00 GiB; it was not run",
        ),
        (request_for("Full", **CUDA), "error", "to run on cuda, but the framework uses cpu"),
        (request_for("Full", options=CUDA), "error", "run on cpu, but the framework uses cuda"),
        (request_for("Sleeper", **CUDA), "error", "the workload cannot say where it runs"),
        (request_for("Full", {"nan_after": 0}), "unstable", "loss is nan"),
        (
            request_for("Full", {"compiles_per_run": 2}),
            "error",
            "times during steady updates: something that changes between updates is a static",
        ),
        (request_for("no_workload"), "error", "returned NoneType, which is no workload: it has no"),
        (request_for("says_words"), "error", "health() has loss = 'high', which is no number"),
        (request_for("Frozen"), "error", "no floating-point array of the state changed after"),
        (request_for("Impossible"), "error", "where a large one makes 0 here: the compiler"),
    ],
)
def test_what_must_not_be_measured_is_not(request_: TrialRequest, kind: str, words: str) -> None:
    report, sent = run_here(request_)
    assert (report.kind, words in report.message) == (kind, True), report.message
    assert report.measurement is None
    if "was not run" in report.message:
        assert all(m.phase is not Phase.WARMUP for m in sent if isinstance(m, Progress))


def test_a_task_that_was_solved_before_it_was_measured_is_no_dead_training() -> None:
    assert measured(run_here(request_for("Solved"))[0]).num_updates > 0


def test_training_that_breaks_while_it_is_measured_keeps_its_measurement() -> None:
    report, _ = run_here(request_for("Full", {"nan_after": 3}, num_updates=200))
    assert report.kind is OutcomeKind.UNSTABLE
    assert "loss is nan" in report.message
    assert 0 < measured(report).num_updates < 200


def test_wrong_input_ends_the_search_and_a_wrong_size_does_not() -> None:
    for workload, ends in (("no_workload", True), ("bad_input", True), ("invalid", False)):
        assert run_here(request_for(workload))[0].ends_search is ends


def test_a_workload_that_parses_arguments_sees_none_of_ours(tmp_path: Path) -> None:
    outcome = run_alive(request_for("parses_arguments"), tmp_path)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message


def test_a_loud_loop_does_not_fill_the_disk(tmp_path: Path) -> None:
    outcome = run_alive(request_for("loud"), tmp_path)
    assert outcome.kind is OutcomeKind.ERROR
    assert "ZeroDivisionError: the last word" in outcome.message
    log = tmp_path / "trial.log"
    assert log.stat().st_size < 20 * 2**20
    text = log.read_text()
    assert text.startswith("the first word\n")
    assert "[... a log is bounded: " in text


def test_a_folder_with_modules_of_our_names_is_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = tmp_path / "person"
    for name in ("trainables", "search_spaces", "cluster"):
        (person / name).mkdir(parents=True)
        (person / name / "__init__.py").write_text("raise ImportError('the person's own')\n")
    (person / "my_loop.py").write_text(
        "import my_net\n"
        "class make:\n"
        "    def __init__(self, config, options): self.env_steps_per_update = my_net.STEPS\n"
        "    def run(self, num_updates):\n"
        "        import time\n"
        "        time.sleep(0.02 * num_updates)\n"
    )
    (person / "my_net.py").write_text("STEPS = 123\n")
    monkeypatch.chdir(person)
    request = dataclasses.replace(request_for("Sleeper"), workload="my_loop:make")
    *_, outcome = run_child(
        request,
        environment={"PATH": os.environ["PATH"]},
        log_path=tmp_path / "trial.log",
        thread_cap=1,
        timeout_s=60.0,
    )
    assert isinstance(outcome, Outcome)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert measured(outcome).env_steps_per_update == 123


def test_a_daemon_of_a_loop_is_ended_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    options = {"pid_file": str(pid_file)}
    outcome = run_alive(request_for("leaves_a_daemon", options=options), tmp_path)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_a_trial_that_cannot_win_stops_early_with_what_it_has() -> None:
    sampling = dataclasses.replace(QUICK, min_blocks=1000, max_measure_s=30.0)
    report, _ = run_here(request_for("Sleeper", slow_below=1e9, sampling=sampling))
    assert report.kind is OutcomeKind.SLOW
    assert "cannot reach 1,000,000,000" in report.message
    assert measured(report).num_blocks == 3


def test_a_trial_that_may_win_is_not_stopped() -> None:
    assert run_here(request_for("Sleeper", slow_below=1.0))[0].kind is OutcomeKind.COMPLETED


def test_a_soak_runs_and_measures_all_of_its_updates() -> None:
    report, _ = run_here(request_for("Sleeper", {"update_ms": 2}, num_updates=111))
    assert report.kind is OutcomeKind.COMPLETED
    assert report.message == "ran 111 of 111 updates."
    assert measured(report).num_updates == 111


def test_time_that_was_up_is_said() -> None:
    sampling = dataclasses.replace(QUICK, min_blocks=1000, max_measure_s=0.1)
    report, _ = run_here(request_for("Sleeper", sampling=sampling))
    assert report.kind is OutcomeKind.COMPLETED
    assert report.message == "measured, but not to within 50%: its time was up."
    assert not measured(report).converged


def test_alive_from_stdin_to_the_wire(tmp_path: Path) -> None:
    outcome = run_alive(request_for("Full", {"update_ms": 10}), tmp_path)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert 0 < measured(outcome).startup_s < outcome.wall_s
    assert outcome.predicted_device_bytes == 2**20


def test_a_training_from_scratch_ends_at_its_target_and_tells_its_curve(tmp_path: Path) -> None:
    gates = (
        LearningGate(seconds=0.1, least_return=1.0),
        LearningGate(seconds=20.0, least_return=1e6),
    )
    training = TrainingRequest(max_s=20.0, target=30.0, gates=gates)
    outcome = run_alive(request_for("Learning", {"update_ms": 10}, training=training), tmp_path)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert outcome.message.startswith("reached 30 after 0.")
    curve = measured(outcome).curve
    assert curve is not None
    assert curve.returns[-2] < 30.0 <= curve.returns[-1]
    assert 0.3 <= curve.seconds[-1] < 10.0
    assert curve.env_steps[-1] == 100 * measured(outcome).num_updates
    assert (curve.held_out, curve.fell_behind) == (False, False)


def test_a_training_from_scratch_is_ended_by_its_gate_and_by_its_time(tmp_path: Path) -> None:
    for held_out, training, words in (
        (
            0,
            TrainingRequest(max_s=20.0, gates=(LearningGate(seconds=0.1, least_return=1e6),)),
            "ended",
        ),
        (1, TrainingRequest(max_s=0.3), "trained for 0.3"),
    ):
        config = {"update_ms": 10, "held_out": held_out}
        outcome = run_alive(request_for("Learning", config, training=training), tmp_path)
        assert outcome.message.startswith(words)
        curve = measured(outcome).curve
        assert curve is not None
        assert (curve.held_out, curve.fell_behind) == (bool(held_out), words == "ended")


def test_a_training_from_scratch_reports_before_it_would_be_killed(tmp_path: Path) -> None:
    training, timeout_s = TrainingRequest(max_s=1000.0), 12.0  # a busy machine starts it in seconds
    outcome = run_alive(
        request_for("Learning", {"update_ms": 10}, training=training), tmp_path, timeout_s=timeout_s
    )
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert outcome.message.endswith("its time was up.")
    assert outcome.wall_s < timeout_s


def test_learning_needs_a_return_and_without_one_the_search_ends(tmp_path: Path) -> None:
    outcome = run_alive(request_for("Sleeper", needs_return=True), tmp_path)
    assert (outcome.kind, outcome.ends_search) == (OutcomeKind.ERROR, True), outcome.message
    assert "needs the return, and the training tells no metrics at all" in outcome.message
    told = run_alive(request_for("Learning", needs_return=True), tmp_path)
    assert told.kind is OutcomeKind.COMPLETED, told.message


def test_an_evaluation_that_compiles_after_the_measurement_is_no_recompilation(
    tmp_path: Path,
) -> None:
    outcome = run_alive(request_for("is_examined", needs_return=True), tmp_path)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert measured(outcome).health["loss"] > 0.0


def test_affinity_holds_before_the_workload_is_imported(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    for cpu in {allowed[0], allowed[-1]}:
        outcome = run_alive(request_for("records_affinity", cpus=(cpu,)), tmp_path)
        assert measured(outcome).health == {f"cpu_{cpu}": 1.0}


def test_a_trial_leaves_no_core_and_hands_its_wire_to_nobody(
    tmp_path: Path, cores_allowed: None
) -> None:
    outcome = run_alive(request_for("records_inheritance"), tmp_path)
    assert measured(outcome).health == {"core_bytes": 0.0, "inherited_files": 0.0}


@pytest.fixture
def cores_allowed() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_nothing_but_the_standard_library_is_imported_before_the_affinity_holds() -> None:
    code = (
        "import sys, trainables.trial\n"
        "own = sys.stdlib_module_names | {'cluster', 'search_spaces', 'trainables', '__main__'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - own))"
    )
    command = [sys.executable, "-S", "-c", code]  # -S: an environment's .pth files import things
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("workload", "kind", "words"),
    [
        ("broken", "error", "KeyError: 'a bug of the workload'"),
        ("out_of_device_memory", "device_memory", "allocate 68719476736 bytes"),
        ("segmentation_fault", "error", "SIGSEGV"),
    ],
)
def test_what_a_workload_raises_is_classified_from_the_log(
    tmp_path: Path, workload: str, kind: str, words: str
) -> None:
    outcome = run_alive(request_for(workload), tmp_path)
    assert (outcome.kind, words in outcome.message) == (kind, True), outcome.message
    assert outcome.message.startswith("during build")
    assert f"in {workload}" in (tmp_path / "trial.log").read_text()  # the traceback


def test_an_orphan_does_not_start() -> None:
    command = [*TRIAL_COMMAND, "--wire-fd=1", "--parent-pid=0"]
    done = subprocess.run(
        [*command, "--spawned-at=0"],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the parent 0 is gone" in done.stderr
