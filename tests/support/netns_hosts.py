"""A laptop and rented boxes on one machine: network namespaces on a switch, an sshd in each box.

A box has its own network, processes, home, /tmp and /dev/shm; killing its first process is losing
it. Needs root, iproute2 and openssh-server; only addresses inside the namespaces are used.
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from places import ROOT
from trainables.disturbance import IGNORES

T = TypeVar("T")
_SSHD = Path("/usr/sbin/sshd")
_NETWORK = "10.79.0"
_NUMBERS = itertools.count()
_BOX = """
set -e
mount --bind "$0/root" /mnt
sed 's|:/root:|:/mnt:|' /etc/passwd > /mnt/passwd; mount --bind /mnt/passwd /etc/passwd
mkdir -p "$0/tmp"
for shared in "${@:2}"; do  # the checkout and its environment may lie in the /tmp that is hidden
  case "$shared" in /tmp/*) mkdir -p "$0$shared"; mount --bind "$shared" "$0$shared";; esac
done
mount --rbind "$0/tmp" /tmp
mount -t tmpfs -o size=512m tmpfs /dev/shm
mkdir -p /run/sshd
/usr/sbin/sshd -D -f /dev/null -h /mnt/hostkey -o Port=22 -o ListenAddress="$1" \
  -o PidFile=none -o StrictModes=no -o PermitRootLogin=prohibit-password \
  -o PasswordAuthentication=no -o AllowTcpForwarding=yes -o SetEnv=__IGNORES__=1 -E /mnt/sshd.log &
wait
""".replace("__IGNORES__", IGNORES)  # the boxes share one machine, and are each other's neighbours


class Machine:
    """One network namespace with processes of its own, on the switch."""

    def __init__(self, prefix: str, name: str, number: int) -> None:
        self.name, self.netns = name, f"{prefix}{name}"
        self.address = f"{_NETWORK}.{number}"
        self._switch, self._port = f"{prefix}sw", f"{prefix}v{number}"
        self._process: subprocess.Popen[bytes] | None = None
        _ip("netns", "add", self.netns)
        _ip("-n", self.netns, "link", "set", "lo", "up")
        _ip("link", "add", self._port, "type", "veth", "peer", "eth0", "netns", self.netns)
        _ip("link", "set", self._port, "netns", self._switch)
        _ip("-n", self._switch, "link", "set", self._port, "master", "br0", "up")
        _ip("-n", self.netns, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self.netns, "link", "set", "eth0", "up")

    def start(self, command: Sequence[str], *, cpus: str = "") -> None:
        """Start the machine's first process; with it the machine ends."""
        unshare = ["unshare", "-m", "-p", "-u", "-i", "-f", "--kill-child", "--mount-proc"]
        bind = ["taskset", "-c", cpus] * bool(cpus)
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, *unshare, *bind, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def first_pid(self) -> int:
        """The machine's first process, as this one sees it."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(wait_for(lambda: children.read_text().split(), "a first process")[0])

    def enter(self, command: Sequence[str]) -> list[str]:
        """The command line that runs a command on this machine."""
        return ["nsenter", "-t", str(self.first_pid), "-m", "-p", "-u", "-i", "-n", "--", *command]

    def run_aside(self, command: Sequence[str]) -> None:
        """Start something that ends with the machine."""
        aside = ["sh", "-c", '"$@" > /dev/null 2>&1 &', "sh", *command]
        subprocess.run(self.enter(aside), check=True)

    def command_in(self, folder: Path, *words: str, **variables: str) -> list[str]:
        """The command line that runs a command in a folder of this machine."""
        env = ["env", *(f"{name}={value}" for name, value in variables.items())]
        return self.enter(["sh", "-c", 'cd -- "$0" && exec "$@"', str(folder), *env, *words])

    def drop_new(self, match: str) -> None:
        """Drop new connections from outside that match, as a firewall or a NAT would."""
        chain = f"type filter hook input priority 0\nct state new iifname eth0 {match} drop"
        rules = f"table inet test {{\nchain input {{\n{chain}\n}}\n}}"
        nft = ["ip", "netns", "exec", self.netns, "nft"]
        subprocess.run([*nft, rules], check=True)

    def drop_nothing(self) -> None:
        """Take the firewall away."""
        subprocess.run(["ip", "netns", "exec", self.netns, "nft", "flush", "ruleset"], check=True)

    def cut(self) -> None:
        """Cut the link somewhere on its way: nobody gets a word of it, not even this machine."""
        _ip("-n", self._switch, "link", "set", self._port, "nomaster")

    def mend(self) -> None:
        """Give the link back."""
        _ip("-n", self._switch, "link", "set", self._port, "master", "br0")

    def lose(self) -> None:
        """End the machine at once, with all that runs on it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it and take the namespace away."""
        self.lose()
        subprocess.run(["ip", "netns", "del", self.netns], capture_output=True, check=False)


class Box(Machine):
    """A rented box: an sshd that lets the laptop's key in."""

    def __init__(self, prefix: str, name: str, number: int, folder: Path, key: Path) -> None:
        super().__init__(prefix, name, number)
        self.folder = folder
        self.home = folder / "root"
        (self.home / ".ssh").mkdir(parents=True)
        shutil.copy(key.with_suffix(".pub"), self.home / ".ssh" / "authorized_keys")
        _keygen(self.home / "hostkey")

    @property
    def host_key(self) -> str:
        """The public key that its sshd shows."""
        return (self.home / "hostkey.pub").read_text().strip()

    def boot(self, *, cpus: str = "") -> None:
        """Start it, again if need be, and wait for its sshd."""
        self.start(
            [
                *("env", "CONTAINER_ID=4711", "bash", "-c", _BOX, str(self.folder), self.address),
                *(str(ROOT), sys.prefix),
            ],
            cpus=cpus,
        )
        probe = ["ip", "netns", "exec", self.netns, "bash", "-c", f": </dev/tcp/{self.address}/22"]

        def answers() -> bool:
            return subprocess.run(probe, capture_output=True, check=False).returncode == 0

        wait_for(answers, f"the sshd of {self.name}")

    def processes(self, word: str) -> list[str]:
        """The command lines on the box that hold this word."""
        listing = subprocess.run(
            self.enter(["ps", "-eo", "args"]), capture_output=True, text=True, check=True
        )
        return [line for line in listing.stdout.splitlines() if word in line]


class Lab:
    """A laptop with a checkout and a key, and boxes to reach from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "key"
        self.checkout = folder / "checkout"
        self.hosts_file = folder / "hosts.toml"
        _remove_stale()
        self._prefix = f"fl{os.getpid()}_{next(_NUMBERS)}"
        self.boxes: dict[str, Box] = {}
        _keygen(self.key)
        _copy_tree(self.checkout)
        switch = f"{self._prefix}sw"
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        self.laptop = Machine(self._prefix, "lap", 100)
        self.laptop.start(["sleep", "infinity"])

    def add_box(self, name: str, *, cpus: str = "") -> Box:
        """Rent one more box; it sees only these CPUs, so boxes can be of several classes."""
        number = len(self.boxes) + 1
        box = Box(self._prefix, name, number, self.folder / f"box{number}", self.key)
        self.boxes[name] = box
        box.boot(cpus=cpus)
        return box

    def write_hosts(self, **extra: str) -> None:
        """Write hosts.toml with all boxes; `extra` adds lines to the one of that name."""
        text = f'[defaults]\nkey = "{self.key}"\n'
        for name, box in self.boxes.items():
            text += f'[hosts.{name}]\naddress = "{box.address}"\n{extra.get(name, "")}\n'
        self.hosts_file.write_text(text)

    def fleet(
        self, *words: str, code: int | None = 0, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m cluster.fleet` on the laptop; assert its exit code, unless `None`."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    def open_fleet(self, *words: str) -> subprocess.Popen[str]:
        """Start `python -m cluster.fleet` on the laptop and go on."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def commit(self) -> None:
        """Commit what was changed in the laptop's checkout."""
        _commit(self.checkout)

    @staticmethod
    def kill(entered: "subprocess.Popen[Any]") -> None:
        """Kill what was started by `Machine.enter` at once; nsenter itself is only its parent."""
        children = Path(f"/proc/{entered.pid}/task/{entered.pid}/children")
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        entered.communicate(timeout=20)

    def command(self, *words: str) -> list[str]:
        """The command line of the fleet on the laptop, from its own checkout."""
        python = ["env", f"PYTHONPATH={self.checkout}", sys.executable, "-m", "cluster.fleet"]
        wd = ["sh", "-c", 'cd -- "$0" && exec "$@"', str(self.folder)]
        return self.laptop.enter([*wd, *python, words[0], "--hosts", "hosts.toml", *words[1:]])

    def close(self) -> None:
        """End all that was started and remove all that was made."""
        for machine in (*self.boxes.values(), self.laptop):
            machine.remove()
        _ip("netns", "del", f"{self._prefix}sw")


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Build a lab, or skip the test where that cannot be."""
    missing = [
        name for name in ("ip", "nsenter", "unshare", "ssh-keygen") if not shutil.which(name)
    ]
    if os.geteuid() != 0 or missing or not _SSHD.exists():
        what = ", ".join([*missing, *["openssh-server"] * (not _SSHD.exists())])
        pytest.skip(f"needs root, iproute2 and openssh-server (missing: {what or 'root'})")
    probe = subprocess.run(["unshare", "-n", "-m", "-p", "-f", "true"], check=False)
    if probe.returncode != 0:
        pytest.skip("needs network, mount and pid namespaces, which this machine does not allow")
    built = None
    try:
        built = Lab(folder)
        yield built
    finally:
        if built is not None:
            built.close()


def _remove_stale() -> None:
    """Remove what a killed test run left: its namespaces bear the pid that it had."""
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name = line.split()[0]
        owner = re.match(r"fl(\d+)_", name)
        if owner is None or Path(f"/proc/{owner[1]}").exists():
            continue
        inside = subprocess.run(
            ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
        )
        for pid in inside.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        # Another test run may be removing it too.
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _copy_tree(target: Path) -> None:
    """A checkout of the working tree as it is, so that tests see what is not committed yet."""
    git = ["git", "-C", str(ROOT)]
    listed = [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, names):
        source, copy = ROOT / os.fsdecode(name), target / os.fsdecode(name)
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    subprocess.run(["git", "init", "-q", str(target)], capture_output=True, check=True)
    _commit(target)


def _commit(tree: Path) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["add", "-A"], [*identity, "commit", "-q", "-m", "tree"]):
        subprocess.run(["git", "-C", str(tree), *words], capture_output=True, check=True)


def _keygen(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def wait_for(answer: Callable[[], T], what: str, *, timeout_s: float = 60.0) -> T:
    """Wait for what a test asserts: a busy machine may take its time."""
    deadline = time.monotonic() + timeout_s
    while not (value := answer()):
        assert time.monotonic() < deadline, f"no {what} within {timeout_s} s"
        time.sleep(0.05)
    return value
