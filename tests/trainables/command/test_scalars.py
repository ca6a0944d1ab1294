"""TensorBoard files of a training, written by a real writer, as the trial reads them."""

import os
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

from trainables.command.scalars import ScalarFiles


def write(folder: Path, tag: str, *events: tuple[float, int]) -> Path:
    with SummaryWriter(str(folder)) as writer:
        for at_s, step in events:
            writer.add_scalar(tag, 0.5, step, walltime=at_s)
    [path] = folder.glob("*tfevents*")
    return path


def points(files: ScalarFiles) -> list[tuple[float, float]]:
    return [(point.at_s, point.steps) for point in files.read()]


def test_steps_are_timed_by_the_events_own_clock(tmp_path: Path) -> None:
    files = ScalarFiles(tmp_path, "time/fps")
    write(tmp_path / "runs" / "x", "time/fps", (100.0, 64), (100.5, 128), (101.25, 256))
    assert points(files) == [(0.0, 0.0), (0.5, 64.0), (1.25, 192.0)]
    assert points(files) == [], "each event comes once"


def test_a_record_that_is_still_being_written_is_read_later(tmp_path: Path) -> None:
    files = ScalarFiles(tmp_path, "loss")
    path = write(tmp_path, "loss", (1.0, 1), (2.0, 2), (3.0, 3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert points(files) == [(0.0, 0.0), (1.0, 1.0)]
    path.write_bytes(whole)
    assert points(files) == [(2.0, 2.0)]


def test_another_scalar_is_not_taken_and_is_named(tmp_path: Path) -> None:
    files = ScalarFiles(tmp_path, "charts/SPS")
    write(tmp_path, "losses/value", (1.0, 1))
    assert points(files) == []
    assert files.other_tags == {"losses/value"}


@pytest.mark.parametrize("how", ["older", "link"])
def test_what_another_run_wrote_is_not_read(how: str, tmp_path: Path) -> None:
    path = write(tmp_path / "before", "loss", (1.0, 1), (2.0, 2))
    here = tmp_path / "trial"
    here.mkdir()
    if how == "link":
        (here / path.name).symlink_to(path)
    else:
        (here / path.name).write_bytes(path.read_bytes())
        os.utime(here / path.name, (1.0, 1.0))
    assert points(ScalarFiles(here, "loss")) == []


def test_a_count_that_goes_back_or_stands_still_is_no_point(tmp_path: Path) -> None:
    files = ScalarFiles(tmp_path, "loss")
    write(tmp_path, "loss", (1.0, 10), (2.0, 10), (3.0, 5), (4.0, 20))
    assert points(files) == [(0.0, 0.0), (3.0, 10.0)]
