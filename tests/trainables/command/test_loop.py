"""Commands that are run and timed, alive: scripts in miniature, each with one habit."""

import os
from pathlib import Path

import pytest

from scripts import COUNT, OURS, SAMPLING, SCALARS, SPS, STEADY, run
from trainables.measurement import OutcomeKind


def test_a_command_is_timed_by_its_lines_and_ended(folder: Path, tmp_path: Path) -> None:
    outcome = run(tmp_path, STEADY)
    measured = outcome.measurement
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert measured is not None
    assert 200.0 < measured.steps_per_second <= 4 * 8 / 0.02
    assert measured.env_steps_per_update == 32
    assert measured.num_blocks >= 3
    assert outcome.wall_s < 20.0, "it would run for ever"
    assert list((tmp_path / "trials").iterdir()) == [], "its folder is gone"


def test_a_soak_takes_its_readings_and_its_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(tmp_path, STEADY, num_updates=5)
    assert outcome.measurement is not None
    assert outcome.measurement.measure_s >= SAMPLING.max_measure_s
    assert outcome.measurement.num_updates >= 5
    assert outcome.message.endswith(" readings.")


def test_a_script_that_counts_by_time_is_timed_by_its_count(folder: Path, tmp_path: Path) -> None:
    script = """
        import time
        frames = 0
        while True:
            time.sleep(0.05)
            frames += 300
            print(f"\\x1b[36mFps nan. frames {frames}\\x1b[0m", end="\\r")
    """
    outcome = run(tmp_path, script, readings=[SPS, COUNT])
    assert outcome.measurement is not None, outcome.message
    assert 1000.0 < outcome.measurement.steps_per_second <= 6000.0


def test_a_count_within_updates_is_timed_with_its_learning(folder: Path, tmp_path: Path) -> None:
    script = """
        import time
        for n in range(10**6):
            time.sleep(0.02 if n % 20 else 0.4)
            print("frames", 10 * n)
    """
    outcome = run(tmp_path, script, readings=[COUNT | {"by_clock": True}])
    assert outcome.measurement is not None, outcome.message
    assert outcome.measurement.measure_s >= SAMPLING.max_measure_s
    assert outcome.measurement.steps_per_second <= 0.75 * 10 / 0.02


def test_a_loud_command_is_timed_and_its_log_is_bounded(folder: Path, tmp_path: Path) -> None:
    script = """
        import time
        for n in range(80):
            print("x" * 100_000)
            print("SPS: 1")
        raise RuntimeError("CUDA out of memory. Tried to allocate 1.00 GiB.")
    """
    outcome = run(tmp_path, script)
    assert outcome.kind in (OutcomeKind.DEVICE_MEMORY, OutcomeKind.COMPLETED)
    log = tmp_path / "trial.log"
    assert log.stat().st_size < 10 * 2**20
    if outcome.kind is OutcomeKind.DEVICE_MEMORY:
        assert "a log is bounded" in log.read_text()


def test_a_command_is_timed_by_a_scalar_that_it_writes(folder: Path, tmp_path: Path) -> None:
    scalar = {"kind": "scalar", "pattern": "train/loss", "steps": "2", "unit": "frame"}
    script = SCALARS.replace("{tag}", "train/loss")
    outcome = run(tmp_path, script, readings=[scalar], arguments=OURS)
    assert outcome.measurement is not None, outcome.message
    assert outcome.measurement.unit == "frames"
    # 100 steps of two frames in 20 ms and a little.
    assert 2_000 < outcome.measurement.steps_per_second <= 10_000


def test_a_scalar_is_read_also_where_an_earlier_run_left_its_log(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "mine" / "one").mkdir(parents=True)
    (folder / "mine" / "one" / "events.out.tfevents.1.host").touch()
    scalar = {"kind": "scalar", "pattern": "train/loss"}
    script = SCALARS.replace("{tag}", "train/loss").replace("runs/one", "mine/one")
    outcome = run(tmp_path, script, readings=[scalar], arguments=OURS, patience_s=8.0)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert len(list((folder / "mine" / "one").iterdir())) == 1, "it wrote into its own"


def test_a_scalar_is_read_of_a_command_that_closed_its_output(folder: Path, tmp_path: Path) -> None:
    scalar = {"kind": "scalar", "pattern": "train/loss"}
    script = SCALARS.replace("{tag}", "train/loss").replace(
        "while True:", "os.close(1), os.close(2)\n    while True:"
    )
    outcome = run(tmp_path, script, readings=[scalar], arguments=OURS, timeout_s=20.0)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert outcome.wall_s < 15.0


def test_a_scalar_that_never_comes_is_told_with_those_that_do(folder: Path, tmp_path: Path) -> None:
    scalar = {"kind": "scalar", "pattern": "train/loss"}
    script = SCALARS.replace("{tag}", "losses/value")
    outcome = run(tmp_path, script, readings=[scalar], arguments=OURS, patience_s=6.0)
    assert outcome.kind is OutcomeKind.TIMEOUT
    assert "no scalar 'train/loss'" in outcome.message
    assert outcome.message.endswith("it wrote losses/value.")


CUMULATIVE = """
    import time
    started, done = time.time() - 0.5, 0  # half a second of compiling came before
    while True:
        time.sleep(0.02)
        done += 100
        print("fps:", done / (time.time() - started))
"""


def test_a_mean_since_the_start_is_not_taken_for_a_rate(folder: Path, tmp_path: Path) -> None:
    rate = {"kind": "rate", "pattern": r"fps: (\S+)"}
    outcome = run(tmp_path, CUMULATIVE, readings=[rate])
    assert outcome.kind is OutcomeKind.ERROR
    assert "that is a mean since the start" in outcome.message
    assert outcome.ends_search


WIDENING = """
    import os, time
    os.sched_setaffinity(0, range(os.cpu_count()))
    while True:
        time.sleep(0.02)
        print("SPS: 1")
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one CPU alone")
@pytest.mark.parametrize("script", [STEADY, WIDENING])
def test_a_training_that_takes_more_cpus_than_its_cap_is_seen(
    script: str, folder: Path, tmp_path: Path
) -> None:
    outcome = run(tmp_path, script, cpus=(min(os.sched_getaffinity(0)),))
    assert outcome.measurement is not None, outcome.message
    taken = len(os.sched_getaffinity(0)) if script is WIDENING else None
    assert outcome.num_cpus_taken == taken
