"""Recording a landscape with real trials of a toy loop, and what is read back out of one."""

import dataclasses
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import landscape as landscapes
from benchmarks import recorded
from benchmarks.landscape import RecordLandscape
from benchmarks.recorded import Landscape, Visit
from benchmarks.replay import Replay, ReplayPoint, SimulatedMachine, choose_budget, replay
from places import SUPPORT
from search_spaces.space import Axis, SearchSpace
from trainables.measurement import OutcomeKind

AXES = {"num_envs": (64, 128, 256, 512), "num_steps": (16, 32, 64)}


def visit(stage: str, config: tuple[int, ...], speed: float | None, **changes: object) -> Visit:
    fields: dict[str, object] = {
        "stage": stage,
        "config": config,
        "kind": OutcomeKind.COMPLETED,
        "at_s": 1.0,
        "load": 0.5,
        "wall_s": 6.0,
        "device_bytes": 1000 * config[0] * config[1],
        "peak_host_bytes": None,
        "steps_per_second": speed,
        "compile_s": 3.0,
        "warmup_s": 1.0,
        "measure_s": 2.0,
        "num_blocks": 6,
    }
    return Visit(**(fields | changes))  # type: ignore[arg-type]


def made(speed: dict[tuple[int, ...], float], noise: float, seed: int) -> Landscape:
    """A landscape recorded as the recorder does, of a machine with this truth and noise."""
    rng = np.random.default_rng(seed)

    def measured(config: tuple[int, ...]) -> float:
        return speed[config] * math.exp(rng.normal(0.0, noise))

    passed = [visit("pass", config, measured(config)) for config in speed]
    landscape = Landscape(about={}, axes=AXES, baseline=(64, 16), visits=tuple(passed))
    again = [
        visit("leaders", config, measured(config))
        for config in landscapes.leading(landscape)
        for _ in range(2)
    ]
    return dataclasses.replace(landscape, visits=(*passed, *again))


CONFIGS = [(envs, steps) for envs in AXES["num_envs"] for steps in AXES["num_steps"]]


def test_a_landscape_reads_as_it_was_written(tmp_path: Path) -> None:
    landscape = made(dict.fromkeys(CONFIGS, 1000.0), 0.1, seed=0)
    unmeasured = visit("pass", (64, 16), None, kind=OutcomeKind.TIMEOUT, num_blocks=None)
    landscape = dataclasses.replace(landscape, visits=(unmeasured,))
    recorded.write(tmp_path / "a.json", landscape)
    assert recorded.read(tmp_path / "a.json") == landscape


def test_the_true_best_of_a_flat_landscape_is_not_the_noisiest_figure() -> None:
    """The maximum of twelve figures that are off by 10 % is about 16 % too high."""
    bests = [
        max(recorded.true_speeds(made(dict.fromkeys(CONFIGS, 1000.0), 0.1, seed)).values())
        for seed in range(20)
    ]
    assert np.median(bests) < 1080.0


def test_a_rough_landscape_keeps_its_peaks() -> None:
    speeds = {config: 1000.0 * (2.0 if config == (128, 32) else 1.0) for config in CONFIGS}
    truth = recorded.true_speeds(made(speeds, 0.02, seed=0))
    assert truth[(128, 32)] == pytest.approx(2000.0, rel=0.1)


def test_deviations_are_as_large_as_the_noise_between_processes() -> None:
    landscape = made(dict.fromkeys(CONFIGS, 1000.0), 0.05, seed=3)
    assert np.std(recorded.residuals(landscape)) == pytest.approx(0.05, rel=0.5)


def test_a_budget_lies_in_the_widest_gap_and_never_under_the_baseline() -> None:
    def point(need: int) -> ReplayPoint:
        return ReplayPoint(
            speed=1.0, device_bytes=need, build_s=1.0, warmup_s=1.0, measure_s=1.0, num_blocks=5
        )

    needs = [10, 11, 12, 13, 14, 15, 60, 64, 68, 72]
    points = {(number,): point(need) for number, need in enumerate(needs)}
    assert choose_budget(points, least=10) == 30
    assert 64 < choose_budget(points, least=64) < 68


def test_a_slow_trial_and_one_that_does_not_fit_cost_less() -> None:
    point = ReplayPoint(
        speed=100.0, device_bytes=5, build_s=4.0, warmup_s=1.0, measure_s=3.0, num_blocks=6
    )
    scene = Replay(
        name="two",
        space=SearchSpace(axes=(Axis(name="num_envs", values=(1, 2)),)),
        baseline={"num_envs": 1},
        points={(1,): point, (2,): dataclasses.replace(point, device_bytes=50)},
        budget_bytes=10,
        deviations=(0.0,),
    )
    machine = SimulatedMachine(scene, seed=0)
    walls = [
        machine.run((1,)).wall_s,
        machine.run((1,), slow_below=200.0).wall_s,
        machine.run((2,)).wall_s,
    ]
    assert walls == [8.0, 6.5, 4.0]
    assert machine.now == sum(walls)
    again = SimulatedMachine(dataclasses.replace(scene, program_s=3.0), seed=0)
    assert [again.run((1,)).wall_s for _ in range(3)] == [8.0, 6.0, 6.0], "programs are read"


@pytest.mark.parametrize("name", ["phase1-2cpu", "phase2-2cpu", "cartpole-2cpu"])
def test_recorded_landscapes_are_whole(name: str) -> None:
    landscape = recorded.read(Path(landscapes.__file__).parent / "landscapes" / f"{name}.json")
    scene = replay(name, landscape)
    configs = {tuple(config.values()) for config in scene.space.configurations()}
    assert set(scene.points) == configs
    assert 0.15 <= scene.infeasible_share <= 0.40
    assert scene.fits(landscape.baseline)
    assert len(landscape.of("leaders")) == 20


@pytest.mark.parametrize("kept", [2, 4], ids=["in the pass", "among the leaders"])
def test_a_killed_recording_goes_on_and_repeats_nothing(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SUPPORT)
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    monkeypatch.setattr(
        landscapes,
        "SAMPLING",
        dataclasses.replace(landscapes.SAMPLING, block_s=0.01, min_blocks=1, max_measure_s=0.02),
    )
    spec = RecordLandscape(
        workload="surface_workload:factory",
        space=("num_envs=64,128", "num_steps=8", "batch_size=64"),
        baseline=("num_envs=64", "num_steps=8", "batch_size=64"),
        out=tmp_path / "toy.json",
    )
    landscapes.record(spec)
    whole = recorded.read(spec.out)
    recorded.write(spec.out, dataclasses.replace(whole, visits=whole.visits[:kept]))
    landscapes.record(spec)
    again = recorded.read(spec.out)
    # Leaders take turns in order of what the pass measured, which a busy machine may turn over.
    assert Counter((v.stage, v.config) for v in again.visits) == Counter(
        (v.stage, v.config) for v in whole.visits
    )
    assert [v.config for v in again.of("pass")] == [v.config for v in whole.of("pass")]
    assert again.visits[:kept] == whole.visits[:kept]
    assert len(whole.of("pass")) == 2
    assert len(whole.of("leaders")) == 4


def test_another_recordings_file_is_not_added_to(tmp_path: Path) -> None:
    recorded.write(tmp_path / "a.json", made(dict.fromkeys(CONFIGS, 1.0), 0.1, seed=0))
    code = landscapes.main(
        ["record", "--workload", "surface_workload:factory", "--out", str(tmp_path / "a.json")]
    )
    assert code == 2


def test_what_is_no_landscape_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert landscapes.main(["show", str(tmp_path / "a.json")]) == 2
    assert "is no landscape" in capsys.readouterr().err
