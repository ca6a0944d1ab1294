"""The trials of a search as tables, for spreadsheets and programs."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from cluster.structure import revive
from factories import failed, measurement, outcome, trial
from trainables.measurement import Outcome, OutcomeKind
from tune.run_folder import trials as trial_files

TRIALS = (
    trial(number=0, score=50_000.0),
    trial(number=1, outcome=failed(OutcomeKind.DEVICE_MEMORY, "needs 21 GiB, the budget is 9.")),
    trial(
        number=2,
        outcome=outcome(
            kind=OutcomeKind.UNSTABLE, measurement=measurement(health={"loss": math.nan})
        ),
    ),
    trial(number=3, outcome=None),
)


def strict(text: str) -> Any:
    """Parse JSON as others do: without NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_csv_has_a_row_per_ended_trial_and_empty_cells_for_the_unmeasured(
    tmp_path: Path,
) -> None:
    table, _ = trial_files.write_trials(tmp_path, TRIALS)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["0", "1", "2"]
    assert [row["kind"] for row in rows] == ["completed", "device_memory", "unstable"]
    assert rows[0]["num_envs"] == "256"
    assert rows[0]["steps_per_second"] == "50000.0"
    assert rows[0]["peak_device_bytes"] == ""
    assert rows[1]["steps_per_second"] == ""
    assert rows[1]["message"] == "needs 21 GiB, the budget is 9."
    assert rows[2]["health/loss"] == "nan"


def test_the_csv_has_what_each_phase_used(tmp_path: Path) -> None:
    phases = outcome(threads_by_phase={"compile": 21}, seconds_by_phase={"compile": 2.5})
    table, _ = trial_files.write_trials(tmp_path, [trial(outcome=phases)])
    with table.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["threads/compile"], row["seconds/compile"]) == ("21", "2.5")
    assert row["threads/import"] == ""


def test_the_csv_says_which_trial_did_not_count_for_a_slower_machine() -> None:
    rows = csv.DictReader(io.StringIO(trial_files.to_csv([TRIALS[0], trial(machine_share=0.8)])))
    assert [(row["disturbed"], row["machine_share"]) for row in rows] == [
        ("False", ""),
        ("False", "0.8"),
    ]


def test_the_csv_has_the_same_columns_when_nothing_was_measured() -> None:
    empty = trial_files.to_csv([TRIALS[1]]).splitlines()[0].split(",")
    full = trial_files.to_csv([TRIALS[0]]).splitlines()[0].split(",")
    assert [name for name in full if not name.startswith("health/")] == empty


def test_the_json_is_strict_and_gives_every_outcome_back(tmp_path: Path) -> None:
    _, document = trial_files.write_trials(tmp_path, TRIALS)
    loaded = strict(document.read_text())
    assert loaded["schema_version"] == 1
    assert revive(Outcome, loaded["trials"][0]["outcome"]) == TRIALS[0].outcome
    assert loaded["trials"][2]["outcome"]["measurement"]["health"] == {"loss": None}
    assert loaded["trials"][3]["outcome"] is None


def test_the_table_says_on_which_gpus_a_trial_ran() -> None:
    ran = trial(outcome=outcome(gpus=("0", "3")))
    [row] = csv.DictReader(io.StringIO(trial_files.to_csv([ran])))
    assert row["gpus"] == "0 3"
