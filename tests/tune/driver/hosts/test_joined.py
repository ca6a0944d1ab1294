"""A search on a joined cluster: what each of its hosts must have."""

from pathlib import Path

from trainables.command.options import FACTORY
from tune.driver.hosts import joined


def test_file_that_the_workload_was_told_of_is_looked_for_on_every_host(tmp_path: Path) -> None:
    from factories import task

    bars = tmp_path / "bars.csv"
    bars.touch()
    options = {"data": str(bars), "seed": 0, "mode": "fast", "gone": str(tmp_path / "gone")}
    assert joined.files_of(task(options=options)) == (str(bars),)
    options = {"llm": str(tmp_path), "mode": "fast"}
    assert joined.folders_of(task(options=options)) == (str(tmp_path),)
    to = {"arguments": ["python", "train.py", "--out", str(tmp_path)]}
    assert joined.folders_of(task(workload=FACTORY, options=to)) == (), "it may write there"
    command = {"arguments": ["python", str(bars), "{num_envs}", "train.py"]}
    assert joined.files_of(task(options=command)) == (str(bars),)
