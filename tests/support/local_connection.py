"""A rented box whose commands run on this machine, without any SSH."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cluster.fleet.hosts import Host
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import StateFolder


class LocalConnection:
    """Of what a command is sent, `lets_through` bytes arrive at most; all if it is `None`."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(name="box", address="x", folder=str(folder))
        self.lets_through: int | None = None
        self.num_sent_bytes = 0

    @property
    def state(self) -> StateFolder:
        return StateFolder.beside(Path(self.host.folder).parent / "hosts.toml")

    def run(
        self, words: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        self.num_sent_bytes += len(stdin)
        sent = stdin[: self.lets_through]
        return subprocess.run(
            words, input=sent, capture_output=True, timeout=timeout_s, check=False
        )

    def open(self, words: Sequence[str], *, stdin: bytes = b"") -> subprocess.Popen[bytes]:
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            return subprocess.Popen(
                words, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )

    def check(self, returncode: int, stderr: bytes) -> None:
        pass


def local_box(folder: Path) -> RemoteBox:
    """The box of the fixture `box`, as the laptop sees it."""
    (folder / "python").write_text(sys.executable)
    return RemoteBox(LocalConnection(folder))  # type: ignore[arg-type]
