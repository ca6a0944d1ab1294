"""The children of the speeds: none outlives the time, and no batch begins that needs more."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu import recording, speed
from benchmarks.gpu.bench import Bench, OutOfTime, sizes
from card_bench import bench_in
from places import PYTHONPATH


def test_a_child_that_the_end_of_the_time_ends_leaves_no_speed(tmp_path: Path) -> None:
    bench = bench_in(tmp_path, left_s=0.5)
    with pytest.raises(OutOfTime):
        speed.measure(bench)
    assert not bench.record.part(speed.SPEEDS).rows


def test_the_program_that_is_read_was_compiled_just_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def alone(_: Bench, key: str, *__: object, environment: dict[str, str]) -> None:
        ran.append((key, environment["JAX_COMPILATION_CACHE_DIR"]))

    monkeypatch.setattr(speed, "_alone", alone)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/of/a/person")
    bench = bench_in(tmp_path)
    row = {"compiled": {}, "measured": {}}
    bench.add(speed.COMPILING, "first with a cache", row)  # in an earlier command
    speed.measure_compiling(bench)
    assert [key for key, _ in ran] == ["first with a cache", "read from the cache"]
    (folder,) = {folder for _, folder in ran}
    others = bench.environment(cached=True)["JAX_COMPILATION_CACHE_DIR"]
    assert folder not in (others, str(tmp_path / "compiled"), "/of/a/person")
    bench.add(speed.COMPILING, "read from the cache", row)
    speed.measure_compiling(bench)
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("measure", "needed_s"),
    [
        (speed.measure, 80),
        (speed.measure_levers, 80),
        (speed.measure_compiling, 70),
        (speed.measure_polling, 50),
    ],
)
def test_no_child_begins_that_takes_longer_than_is_left(
    tmp_path: Path, measure: Callable[[Bench], None], needed_s: int
) -> None:
    bench = bench_in(tmp_path, rehearsed=False, left_s=needed_s - 1.0)
    with pytest.raises(OutOfTime, match=f"{needed_s} s are needed"):
        measure(bench)
    assert recording.read(bench.out) is None or not any(
        part.rows for part in bench.record.parts.values()
    )


@pytest.mark.parametrize(
    ("absent", "num_cartpole", "num_all"), [((), 2, 8), (("gymnax",), 0, 6), (("optax",), 0, 0)]
)
def test_without_gymnax_cartpole_alone_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    absent: tuple[str, ...],
    num_cartpole: int,
    num_all: int,
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(speed, "_run", lambda _, __, jobs: ran.extend(job.key for job in jobs))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else find(name)
    )
    bench = bench_in(tmp_path, rehearsed=False)
    speed.measure(bench)
    assert (sum("CartPole" in key for key in ran), len(ran)) == (num_cartpole, num_all)
    problems = bench.record.part(speed.SPEEDS).problems
    assert len(problems) == len(absent)
    assert all(f"{name} is not installed here" in problems[0] for name in absent)


def test_our_loop_alone_needs_no_gymnax_and_no_optax(tmp_path: Path) -> None:
    for absent in ("gymnax", "optax"):
        (tmp_path / f"{absent}.py").write_text(f"raise ImportError('there is no {absent}')")
    request = {
        "env": "Phase 1",
        "config": sizes(8, 4, 32),
        "loops": ["ours"],
        "rounds": 1,
        "block_s": 0.01,
        "cpus": sorted(os.sched_getaffinity(0)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu.loops"],
        input=f"{json.dumps(request)}\ngo\n",
        env=bench_in(tmp_path).environment() | {"PYTHONPATH": f"{tmp_path}:{PYTHONPATH}"},
        capture_output=True,
        text=True,
    )
    compiled, measured = map(json.loads, done.stdout.splitlines())
    assert compiled["ours"]["launches"] > 100
    assert measured["ours"]["steps_per_second"] > 0
