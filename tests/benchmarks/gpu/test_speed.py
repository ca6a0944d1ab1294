"""The children of the speeds: none outlives the time, and no batch begins that needs more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.gpu import recording, speed
from benchmarks.gpu.bench import Bench, OutOfTime
from card_bench import bench_in


def test_a_child_that_the_end_of_the_time_ends_leaves_no_speed(tmp_path: Path) -> None:
    bench = bench_in(tmp_path, left_s=0.5)
    with pytest.raises(OutOfTime):
        speed.measure(bench)
    assert not bench.record.part(speed.SPEEDS).rows


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
