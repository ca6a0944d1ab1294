"""Code and environment are replaced when nothing runs from them."""

import threading
from pathlib import Path

import pytest

from box_jobs import start, wait_for
from cluster.box import jobs, setup
from cluster.box.folder import BoxFolder
from cluster.errors import BoxError


def send(box: BoxFolder) -> None:
    box.new_code.mkdir()
    (box.new_code / "file").write_text("new")


def test_environment_moves_along_and_the_box_is_ready_no_more(box: BoxFolder) -> None:
    (box.code / ".venv").mkdir()
    (box.code / ".venv" / "made").write_text("made")
    send(box)
    setup.swap(box, python="/bin/python3")
    names = {path.name for path in box.path.iterdir()}
    assert names == {"code", "jobs", "lock", "python"}
    assert {path.name for path in box.code.iterdir()} == {".venv", "file"}
    assert (box.code / ".venv" / "made").read_text() == "made"
    assert box.python.read_text() == "/bin/python3"
    with pytest.raises(BoxError, match="is not set up"):
        start(box)


def test_code_stays_under_a_job_that_has_just_begun(box: BoxFolder) -> None:
    send(box)
    start(box, "--trials", "1000")
    with pytest.raises(BoxError, match="runs the job j1: its code stays"):
        setup.swap(box, python="/bin/python3")
    assert box.ready.exists()
    assert not (box.code / "file").exists()


@pytest.mark.parametrize("again", ["swap", "install"])
def test_installation_of_before_is_ended_first(again: str, box: BoxFolder, tmp_path: Path) -> None:
    said: list[str] = []

    def install() -> None:
        try:
            setup.install(box, ["sh", "-c", f"touch {tmp_path}/began; exec sleep 600"])
        except BoxError as error:
            said.append(str(error))

    first = threading.Thread(target=install, daemon=True)
    first.start()
    wait_for((tmp_path / "began").exists)
    send(box)
    if again == "swap":
        setup.swap(box, python="/bin/python3")
    else:
        setup.install(box, ["true"])
    first.join(timeout=60)
    assert said == ["sh: exit code -9."]


def test_installation_that_fails_is_told_by_its_last_lines(box: BoxFolder) -> None:
    with pytest.raises(BoxError, match=r"^2 / 3 / 4$"):
        setup.install(box, ["sh", "-c", "seq 4; echo; exit 2"])
    assert jobs.stop(box, reason="stopped") is None
