"""Calls to a box come to an end, also where the box does not."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from cluster.fleet import pull, remote, ssh
from cluster.fleet.ssh import UnreachableError
from local_box import LocalBox


@pytest.mark.parametrize("sent", [":", "printf 'the beginning of a tar'", "exec >&-"])
def test_pull_from_a_box_whose_disk_hangs_is_given_up(
    sent: str, local_box: LocalBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_SILENCE_S", 0.2)
    local_box.up()
    script = f"echo $$ > {local_box.home}/pid; {sent}; exec sleep 600"
    local_box.folder.python.write_text(str(local_box.put("python-that-hangs", script)))
    with pytest.raises(UnreachableError, match="a: has sent nothing for 0 s"):
        pull.pull(local_box.remote, tmp_path / "out")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may not have begun
        os.kill(int((local_box.home / "pid").read_text()), signal.SIGKILL)


def test_first_use_of_a_box_that_hangs_is_given_up(
    local_box: LocalBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_CALL_S", 0.2)
    local_box.put("ssh", "exec sleep 600")
    with pytest.raises(UnreachableError, match="a: no answer within 0 s"):
        local_box.remote.connection.first_use("accept-new")
