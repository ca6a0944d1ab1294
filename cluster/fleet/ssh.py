"""SSH to a box by the system's ssh: argument lists, pinned host keys, one shared connection.

Nothing else is needed on the box: no scp or sftp, which some providers' containers lack, and no
port but SSH's.
"""

import contextlib
import dataclasses
import hashlib
import os
import shlex
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cluster.errors import FleetError
from cluster.fleet.hosts import Host
from cluster.node.atomic import write_text

_SSH_FAILED = 255  # ssh's own exit code for all that is not the remote command's
_CONNECT_S = 10
_CALL_S = 60.0
_ALIVE_S = 5  # a link that is silent for three of these is given up, and the call with it
_CONTROL_ROOT = Path("/tmp")  # a Unix socket's path ends at 104 bytes; TMPDIR may be long
_KEY_CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED"
_KEY_UNKNOWN = "Host key verification failed"
_NO_ACCESS = "Permission denied"


class HostError(FleetError):
    """A box's failure to do what was asked; the message starts with its name."""

    def __init__(self, host: Host, message: str) -> None:
        super().__init__(f"{host.name}: {message}")


class UnreachableError(HostError):
    """A broken or missing SSH link; the box may be alive, and may cost money."""


class HostKeyError(HostError):
    """A host key that is not the pinned one, or that is not pinned yet."""


class AccessError(HostError):
    """A box that lets none of our keys in."""


@dataclasses.dataclass(frozen=True, slots=True)
class StateFolder:
    """The laptop's own folder for one fleet, beside its hosts file, for this user alone (0700)."""

    path: Path

    @classmethod
    def beside(cls, hosts_file: Path) -> "StateFolder":
        """Return the folder that belongs to a hosts file; make it if it is not there."""
        folder = hosts_file.resolve().parent / ".fleet" / hosts_file.stem
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        ignored = folder.parent / ".gitignore"
        if not ignored.exists() or ignored.read_text() != "*\n":
            write_text(ignored, "*\n")
        return cls(folder)

    def known_hosts(self, host: Host) -> Path:
        """Return the file that pins the host key of this box alone."""
        return self.path / f"{host.name}.known_hosts"

    def last_seen(self, host: Host) -> Path:
        """Return the file with the box's last status."""
        return self.path / f"{host.name}.json"

    def control_path(self) -> Path:
        """Return ssh's pattern for the socket of a shared connection, one for each fleet and box.

        Raises:
            FleetError: if the sockets' folder belongs to somebody else.
        """
        folder = _CONTROL_ROOT / f"rl-fleet-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise FleetError(f"{folder} must belong to you alone (mode 0700): remove it.")
        return folder / (hashlib.sha256(os.fsencode(self.path)).hexdigest()[:8] + "-%C")


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """One box, reached with the pins and sockets of one fleet."""

    host: Host
    state: StateFolder

    def run(
        self,
        words: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = _CALL_S,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command on the box and wait; the caller judges the command's own exit code.

        Raises:
            UnreachableError: if ssh does not get through, or not in time.
            HostKeyError: if the key is unknown, or not the pinned one.
        """
        self._pin()
        done = self._call(
            self.argv(words),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout_s=timeout_s,
        )
        self.check(done.returncode, done.stderr)
        return done

    def open(self, words: Sequence[str], *, stdin: bytes = b"") -> subprocess.Popen[bytes]:
        """Start a command on the box, to be read while it runs; pass its exit code to `check`."""
        self._pin()
        process = subprocess.Popen(
            self.argv(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                pipe.write(stdin)
        except BrokenPipeError:
            pass  # ssh has failed already; its exit code says so
        return process

    def first_use(self, accept: Literal["ask", "accept-new"]) -> None:
        """Pin the box's key if none is pinned: after ssh's own question, or without one.

        Raises:
            UnreachableError, HostKeyError: as `run`.
        """
        self._pin()
        asks = accept == "ask"  # a person may take their time
        done = self._call(
            self.argv(["true"], check_key=accept),
            stderr=None if asks else subprocess.PIPE,
            timeout_s=None if asks else _CALL_S,
        )
        self.check(done.returncode, done.stderr or b"")

    def is_pinned(self) -> bool:
        """Return whether a key is pinned for the address and port that the box has now."""
        self._pin()
        known, name = self.state.known_hosts(self.host), _known_name(self.host)
        return known.exists() and any(
            line.split()[:1] == [name] for line in known.read_text().splitlines()
        )

    def forward(self, local_port: int, remote_port: int) -> subprocess.Popen[bytes]:
        """Start a tunnel from a local port to a port of the box, on loopback at both ends.

        The tunnel ends when its stdin is closed, so also when this process is killed.
        """
        self._pin()
        forward = ["-o", "ExitOnForwardFailure=yes"]
        forward += ["-L", f"127.0.0.1:{local_port}:127.0.0.1:{remote_port}"]
        return subprocess.Popen(
            [*self._options("yes", share=False), *forward, "--", self.host.address, "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        """End the shared connection, if there is one."""
        argv = [*self._options("yes"), "-O", "exit", "--", self.host.address]
        with contextlib.suppress(UnreachableError):  # it ends by itself
            self._call(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout_s=10.0)

    def argv(
        self, words: Sequence[str], *, check_key: Literal["yes", "ask", "accept-new"] = "yes"
    ) -> list[str]:
        """Return the command line; `words` alone reach a shell, the box's, and are quoted."""
        return [
            *self._options(check_key),
            "-o",
            "ClearAllForwardings=yes",
            "--",
            self.host.address,
            shlex.join(words),
        ]

    def check(self, returncode: int, stderr: bytes) -> None:
        """Raise if ssh itself has failed; an exit code of the remote command is not judged.

        Raises:
            UnreachableError, HostKeyError, AccessError: by what ssh says.
        """
        if returncode != _SSH_FAILED:
            return
        text = stderr.decode(errors="replace")
        if _KEY_CHANGED in text:
            raise HostKeyError(
                self.host,
                "its host key is not the pinned one, so nothing was sent. If you rented it anew, "
                "or it restarted with an empty disk, "
                + (
                    "correct host_key in the hosts file."
                    if self.host.host_key
                    else f"remove {self.state.known_hosts(self.host)} and run `up` again."
                ),
            )
        if _KEY_UNKNOWN in text:
            known = "another key than host_key names" if self.host.host_key else "no pinned key yet"
            raise HostKeyError(
                self.host,
                f"has {known}, so nothing was sent: run `up` at a terminal, which shows the key "
                "and asks, or `up --accept-new`, or write its host_key into the hosts file.",
            )
        if _NO_ACCESS in text:
            key = "your default keys" if self.host.key is None else f"the key {self.host.key}"
            raise AccessError(
                self.host,
                f"does not let {key} in as {self.host.user}: correct key or user in the hosts "
                "file, or add the public key at the provider.",
            )
        said = [line.strip(" .") for line in text.splitlines() if line.strip()]
        raise UnreachableError(
            self.host, f"cannot be reached by ssh: {said[-1] if said else 'it said nothing'}."
        )

    def _call(
        self, argv: Sequence[str], *, timeout_s: float | None, **pipes: Any
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(argv, timeout=timeout_s, check=False, **pipes)
        except FileNotFoundError as error:
            raise FleetError("ssh is not installed: all calls to boxes go through it.") from error
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(self.host, f"no answer within {timeout_s:.0f} s.") from error

    def _options(
        self, check_key: Literal["yes", "ask", "accept-new"], *, share: bool = True
    ) -> list[str]:
        host = self.host
        options = {
            "BatchMode": "no" if check_key == "ask" else "yes",
            "StrictHostKeyChecking": check_key,
            "UserKnownHostsFile": _quoted(self.state.known_hosts(host)),
            "GlobalKnownHostsFile": "/dev/null",
            "UpdateHostKeys": "no",
            "HashKnownHosts": "no",
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "PermitLocalCommand": "no",
            "RemoteCommand": "none",
            "LogLevel": "ERROR" if check_key != "ask" else "INFO",
            "ConnectTimeout": str(_CONNECT_S),
            "ServerAliveInterval": str(_ALIVE_S),
            "ServerAliveCountMax": "3",
            "ControlMaster": "auto" if share else "no",
            "ControlPath": str(self.state.control_path()) if share else "none",
            "ControlPersist": "60",
        }
        if host.key is not None:
            options |= {"IdentityFile": _quoted(host.key), "IdentitiesOnly": "yes"}
        argv = ["ssh", "-T", "-p", str(host.port), "-l", host.user]
        for name, value in options.items():
            argv += ["-o", f"{name}={value}"]
        return argv

    def _pin(self) -> None:
        """Pin the key that the hosts file names, if any, in place of one that was seen before."""
        host, known = self.host, self.state.known_hosts(self.host)
        if host.host_key is None:
            return
        line = f"{_known_name(host)} {host.host_key}\n"
        if not known.exists() or known.read_text() != line:
            write_text(known, line, mode=0o600)


def _known_name(host: Host) -> str:
    """Return the name that ssh gives a box in a file of known hosts."""
    return host.address if host.port == 22 else f"[{host.address}]:{host.port}"


def _quoted(path: Path) -> str:
    """Return a path as ssh's configuration needs it: it splits at spaces and expands `%`."""
    return '"' + str(path).replace("%", "%%") + '"'
