"""The rows of the conclusion: what was found, what limits it, and why nothing was found."""

import dataclasses
import re

import pytest

import factories
from conclusions import CONTEXT, conclude
from factories import candidate, result
from screens import TOO_MUCH, TRIALS, sized
from searches import record
from trainables.measurement import OutcomeKind
from tune.search.result import Kind
from tune.summary import conclusion
from tune.summary.conclusion import limited_by


def test_a_part_promises_nothing_and_says_how_the_search_is_finished() -> None:
    found = conclude(factories.result(), shard="1/2")
    assert found.headline == "Part 1/2 is explored; its best: 512 x 64, 8 minibatches."
    assert found.commands == (
        ("finish", "this command with --known and all parts' journal.log in place of --shard"),
    )
    assert not any(label in {"profile", "compared", "soak"} for label, _ in found.rows)


@pytest.mark.parametrize(
    ("num_devices", "thread_cap", "cpus"), [(1, 2, "0-1"), (2, 4, "0-1,8-9"), (2, 3, "0-1,8")]
)
def test_the_command_to_train_has_the_cpus_of_all_gpus(
    num_devices: int, thread_cap: int, cpus: str
) -> None:
    outcome = factories.outcome(thread_cap=thread_cap)
    config = factories.candidate().config | {"num_devices": num_devices}
    winner = factories.candidate(config=config, representative=outcome)
    found = conclude(
        factories.result(chosen={Kind.FASTEST: winner}),
        cpus=(0, 1),
        gpu_cpus=((0, 1), (8, 9)),
    )
    train = dict(found.commands)["train"]
    assert f"taskset -c {cpus} YOUR TRAINING" in train


def test_a_soak_that_was_slower_is_the_speed_that_is_said() -> None:
    soak = factories.measurement(num_updates=200, steps_per_second=48_200.0)
    winner = factories.candidate(soaks=(soak,))
    rows = dict(conclude(factories.result(chosen={Kind.FASTEST: winner})).rows)
    assert rows["speed"].startswith("48.2 K env steps/s, 95 % interval")


def test_nothing_feasible_says_which_limit_and_what_to_change() -> None:
    threads = factories.failed(OutcomeKind.THREAD_LIMIT, "clone was refused.")
    result = factories.result(
        trials=(sized(0, outcome=TOO_MUCH), sized(1, outcome=threads), TRIALS[3]),
        chosen={},
        baseline=None,
    )
    found = conclusion.conclude(result, CONTEXT, profiles={}, files=[])
    assert found.headline == "No configuration was feasible, so there is no profile."
    assert not found.succeeded
    assert not found.commands
    text = "\n".join(f"{label}: {words}" for label, words in found.rows)
    assert "Last: the compiled program needs 21.30 GiB" in text
    assert "what to do: Fewer num_envs or num_steps, a smaller batch_size" in text
    assert "Last: clone was refused." in text
    assert "what to do: Run python -m tune.preflight" in text
    assert "trials: 1 device memory, 1 no threads left, 1 not run" in text


def test_trials_that_all_failed_name_the_log() -> None:
    failed = factories.failed(OutcomeKind.ERROR, "ModuleNotFoundError: jax", log="runs/x/0.log")
    result = factories.result(trials=(factories.trial(outcome=failed),), chosen={}, baseline=None)
    rows = conclusion.conclude(result, CONTEXT, profiles={}, files=[]).rows
    assert ("log", "runs/x/0.log") in rows
    assert ("what to do", "Read the trial's log; this is a defect in the workload, its setup or "
            "this tool.") in rows  # fmt: skip


def test_other_kinds_are_listed_where_they_differ() -> None:
    lean = factories.candidate(
        config=factories.BASELINE.config, steps_per_second=60_000.0, device_bytes=2**20 * 80
    )
    chosen = {Kind.FASTEST: factories.candidate(), Kind.BALANCED: factories.candidate()}
    found = conclude(factories.result(chosen=chosen | {Kind.LEAN: lean}))
    rows = dict(found.rows)
    assert rows["lean"] == "256 envs x 128 steps, batch 8192, 4 epochs: 60.0 K env steps/s, 80 MiB"
    assert "balanced" not in rows
    noisy = dataclasses.replace(lean, disturbed=True)
    rows = dict(conclude(factories.result(chosen=chosen | {Kind.LEAN: noisy})).rows)
    assert rows["lean"].endswith("60.0 K env steps/s, 80 MiB, measured while disturbed")


@pytest.mark.parametrize(
    ("device_bytes", "on_gpu", "said"),
    [
        (150_000_000, True, r"No limit is near: it takes \d+ % of the \w+ ?\w* allowed"),
        (9_000_000_000, True, r"What limits it: device memory, of which it takes 8\d %"),
        (None, True, r"What it takes of the GPU's memory is not known; of the host memory allowed"),
        (None, False, r"No limit is near"),  # it is the host's
    ],
)
def test_the_limit_that_is_near_is_named(device_bytes: int | None, on_gpu: bool, said: str) -> None:
    found = result(chosen={Kind.FASTEST: candidate(device_bytes=device_bytes)})
    context = dataclasses.replace(record().context, on_gpu=on_gpu)
    assert re.match(said, limited_by(found, context))


def test_a_search_of_which_nothing_ran_is_called_broken() -> None:
    lost = factories.trial(outcome=factories.failed(OutcomeKind.NODE_LOST, "SIGKILL, by someone."))
    found = conclude(factories.result(chosen={}, trials=(lost,)))
    rows = dict(found.rows)
    assert found.headline == "No trial could run, so there is no profile."
    assert rows["search"].startswith("broken, ")
    assert "SIGKILL, by someone" in rows["lost"]
