"""The laptop's side of one box: it asks `cluster.box` there, over SSH."""

import dataclasses
import io
import json
import os
import select
from collections.abc import Callable, Mapping
from typing import IO, Any

from cluster.box.answer import BoxStatus
from cluster.box.folder import REFUSED
from cluster.fleet.hosts import Host
from cluster.fleet.part import Part
from cluster.fleet.ssh import Connection, HostError, StateFolder, UnreachableError
from cluster.structure import StructureError, structure_known

_SILENCE_S = 120.0  # a box whose disk hangs keeps the link alive, and sends nothing
_NO_CODE = 4  # nor an interpreter to run it
# Nothing is put into this text: the folder and the command are its arguments. It forks nothing: a
# box that has no process left must not look bare. (`read` fails for want of a last newline.)
_IN_CODE = (
    'cd -- "$1"/code 2>/dev/null && { read -r p <../python || [ "$p" ]; } 2>/dev/null '
    f'&& command -v "$p" >/dev/null || exit {_NO_CODE}; '
    'shift; exec "$p" -m cluster.box "$@"'
)


class BareError(HostError):
    """A box without the fleet's code or the interpreter that runs it; it runs nothing, either."""


class RefusedError(HostError):
    """A box's own refusal of what it was asked, with its reason: it would refuse that again."""


class _Incoming(io.RawIOBase):
    """A pipe from a box that is read for as long as something comes."""

    def __init__(self, host: Host, pipe: IO[bytes]) -> None:
        self._host, self._pipe = host, pipe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        come, _, _ = select.select([self._pipe], [], [], _SILENCE_S)
        if not come:
            raise UnreachableError(self._host, f"has sent nothing for {_SILENCE_S:.0f} s.")
        return os.readv(self._pipe.fileno(), [buffer])


@dataclasses.dataclass(frozen=True, slots=True)
class RemoteBox:
    """One box that can be asked; every question is one call of ssh."""

    connection: Connection

    @classmethod
    def of(cls, host: Host, state: StateFolder) -> "RemoteBox":
        """Return the box of a host."""
        return cls(Connection(host, state))

    @property
    def host(self) -> Host:
        """Entry of the box in the hosts file."""
        return self.connection.host

    def ask(
        self, command: str, request: Mapping[str, Any] | None = None, *, timeout_s: float = 60.0
    ) -> dict[str, Any]:
        """Run one command of `cluster.box` and return its answer.

        The request travels on stdin, so that it stands in no process list.

        Raises:
            HostError: if the box refuses, is not set up, or cannot be reached.
        """
        done = self.connection.run(
            self._words(command),
            stdin=json.dumps(request or {}).encode(),
            timeout_s=timeout_s,
        )
        self._judge(done.returncode, done.stderr)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError as error:
            said = done.stdout[:80].decode(errors="replace")
            raise HostError(self.host, f"answered no JSON to {command}: {said!r}.") from error
        return answer

    def status(self, *, timeout_s: float = 60.0) -> BoxStatus:
        """Return the box's age, its dead-man and its latest job.

        Raises:
            HostError: as `ask`, and if its answer is no status.
        """
        answer = self.ask("status", timeout_s=timeout_s)
        try:
            known = structure_known(BoxStatus, answer)
            Part.of(None if known.job is None else known.job.split)
        except StructureError as error:
            raise HostError(self.host, f"answered no status: {error}") from error
        return known

    def shell(
        self,
        script: str,
        *arguments: str,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
    ) -> bytes:
        """Run a fixed script of POSIX sh with `arguments` as $1, $2, ...; return its stdout.

        Raises:
            HostError: if it fails, with the last lines of its output.
        """
        words = ["sh", "-c", script, "sh", *arguments]
        done = self.connection.run(words, stdin=stdin, timeout_s=timeout_s)
        if done.returncode != 0:
            text = (done.stderr or done.stdout).decode(errors="replace")
            said = [line for line in text.splitlines() if line.strip()][-3:]
            raise HostError(self.host, " / ".join(said) or f"exit code {done.returncode}.")
        return done.stdout

    def pull(
        self, have: Mapping[str, tuple[int, int]], consume: Callable[[IO[bytes]], None]
    ) -> None:
        """Have `consume` read the tar of the files that `have` lacks, while it comes.

        Raises:
            HostError: as `ask`; the files that came whole until then have been consumed.
        """
        process = self.connection.open(self._words("pull"), stdin=json.dumps(have).encode())
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            try:
                consume(io.BufferedReader(_Incoming(self.host, process.stdout)))
                stderr = _Incoming(self.host, process.stderr).readall()
            except BaseException:
                process.kill()
                raise
        self.connection.check(process.returncode, stderr)
        self._judge(process.returncode, stderr)

    def _words(self, command: str) -> list[str]:
        return ["sh", "-c", _IN_CODE, "sh", self.host.folder, command]

    def _judge(self, returncode: int, stderr: bytes) -> None:
        said = stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        if returncode == REFUSED:
            raise RefusedError(self.host, said[-1])
        if returncode == _NO_CODE:
            raise BareError(self.host, "is not set up: run `up` first.")
        if returncode != 0:
            raise HostError(self.host, f"failed with exit code {returncode}: {said[-1]}")
