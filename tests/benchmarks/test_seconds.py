"""The account of a search's seconds adds up, and counts what could win."""

import json
from pathlib import Path
from typing import Any

import pytest

import factories
from benchmarks import seconds
from trainables.measurement import OutcomeKind
from tune.run_folder import trials as records

MEASURED = factories.measurement(
    startup_s=0.5, build_s=1.0, compile_s=2.0, warmup_s=1.5, measure_s=4.0
)
TRIALS = (
    factories.trial(number=0, outcome=factories.outcome(wall_s=9.5, measurement=MEASURED)),
    factories.trial(
        number=1,
        outcome=factories.outcome(kind=OutcomeKind.SLOW, wall_s=9.5, measurement=MEASURED),
    ),
    factories.trial(
        number=2, outcome=factories.failed(OutcomeKind.DEVICE_MEMORY, "too large.", wall_s=4.0)
    ),
    factories.trial(
        number=3,
        outcome=factories.failed(OutcomeKind.EXCLUDED, "predicted.", wall_s=0.0),
    ),
    factories.trial(number=4, outcome=None),
)


def document(tmp_path: Path, **figures: float) -> dict[str, Any]:
    _, path = records.write_trials(tmp_path, TRIALS, **figures)
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_every_second_of_a_search_is_somewhere(tmp_path: Path) -> None:
    table = seconds.account(document(tmp_path, wall_s=30.0, compiling_ahead_s=3.0))
    assert table == {
        "start": (1.0, 0.5),
        "import and build": (2.0, 1.0),
        "compile": (4.0, 2.0),
        "warm-up": (3.0, 1.5),
        "measure": (8.0, 4.0),
        "end": (1.0, 0.5),
        "of trials without a measurement": (4.0, 0.0),
        "compile ahead": (3.0, 0.0),
        "driver": (4.0, 0.0),
    }
    assert seconds.share(table, seconds.PAYS) == pytest.approx(6.0 / 30.0)


def test_a_resumed_search_does_not_invent_a_driver(tmp_path: Path) -> None:
    table = seconds.account(document(tmp_path, wall_s=5.0, compiling_ahead_s=1.0))
    assert "driver" not in table


def test_the_command_prints_a_table_or_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document(tmp_path, wall_s=30.0, compiling_ahead_s=3.0)
    assert seconds.main([str(tmp_path)]) == 0
    assert "configurations that could win: 20%" in capsys.readouterr().out
    assert seconds.main([str(tmp_path / "none")]) == 2


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), ([], 2)])
def test_the_command_says_how_it_is_called(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    with pytest.raises(SystemExit) as ended:
        seconds.main(arguments)
    assert ended.value.code == status
    said = capsys.readouterr()
    assert "RUN_FOLDER" in said.out + said.err
