"""What the time of trials went into beside their training, in one row."""

from typing import Any

import factories
from conclusions import conclude
from trainables.measurement import Measurement


def disturbed_row(*measurements: Measurement, machine_share: float | None = None) -> str | None:
    trials = tuple(
        factories.trial(
            outcome=factories.outcome(measurement=measured), machine_share=machine_share
        )
        for measured in measurements
    )
    return dict(conclude(factories.result(trials=trials)).rows).get("disturbed")


def measured(**changes: Any) -> Measurement:
    return factories.measurement(num_blocks=6, measure_s=10.0, **changes)


def test_the_time_that_neighbours_cost_is_said() -> None:
    assert disturbed_row(measured()) is None
    found = disturbed_row(
        measured(),
        measured(num_disturbed_blocks=4, disturbed_per_second=25_000.0),
        measured(num_disturbed_blocks=6, disturbed=True),  # what it lost is not known
    )
    assert found == (
        "other programs used the CPUs of 2 of 3 trials for 14 s. It counts where nothing else was "
        "measured; a long training meets it, too"
    )


def test_the_time_that_slower_cpus_cost_is_said_apart_and_what_it_would_cost_a_training() -> None:
    found = disturbed_row(
        measured(num_disturbed_blocks=4, num_slowed_blocks=3, disturbed_per_second=0.5 * 50_000.0),
        measured(),
    )
    # Of 20 s, 4 s were half as fast.
    assert found == (
        "other programs used the CPUs of 1 of 2 trials for 1 s; the CPUs were slower for 3 s of 1 "
        "trial, by nothing that the kernel counts: others on the same host, or heat. It counts "
        "where nothing else was measured; a long training that meets as much of it gets 0.90 x of "
        "the speed"
    )


def test_what_a_slower_machine_would_cost_a_training_is_not_known() -> None:
    """The blocks alone say 0.95 x, of a trial that ran beside CPUs at 0.8 x all the time."""
    found = disturbed_row(
        measured(num_disturbed_blocks=4, num_slowed_blocks=4, disturbed_per_second=0.9 * 50_000.0),
        machine_share=0.8,
    )
    assert found is not None
    assert "ran at 0.80 x of their best beside 1 trial" in found
    assert found.endswith("; a long training meets it, too")


def test_others_on_the_gpu_are_said() -> None:
    found = disturbed_row(
        measured(num_disturbed_blocks=4, num_gpu_shared_blocks=4, disturbed_per_second=49_999.0)
    )
    assert found is not None
    assert found.startswith("other programs used the CPUs or the GPU of 1 of 1 trial for 4 s.")
