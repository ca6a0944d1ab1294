"""What ssh is called with: pinned keys, no shell but the box's, and that one quoted."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.fleet import ssh
from cluster.fleet.hosts import Host
from cluster.fleet.ssh import (
    AccessError,
    Connection,
    HostError,
    HostKeyError,
    StateFolder,
    UnreachableError,
)
from places import ROOT

HOSTILE = [
    "",
    "a b",
    "'",
    '"',
    "'; touch pwned; '",
    "$(touch pwned)",
    "`touch pwned`",
    "${HOME}",
    "a\nb",
    "-rf",
    "*",
    "~",
    "!x",
    "\\",
    "&& touch pwned",
    "naïve ☃",
    "%h",
]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder.beside(tmp_path / "hosts.toml")


def connection(state: StateFolder, **fields: object) -> Connection:
    return Connection(Host(name="box", address="203.0.113.7", **fields), state)  # type: ignore[arg-type]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_hostile_words_reach_the_program_on_the_box_as_they_are(
    shell: str, state: StateFolder, tmp_path: Path
) -> None:
    line = connection(state).argv(["printf", "%s\\0", *HOSTILE])[-1]
    done = subprocess.run([shell, "-c", line], capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout.decode().split("\0")[:-1] == HOSTILE
    assert not (tmp_path / "pwned").exists()


def test_ssh_gets_one_quoted_argument_after_the_address(state: StateFolder) -> None:
    argv = connection(state).argv(["sh", "-c", 'echo "$1"', "sh", "; reboot"])
    assert argv[-3:] == ["--", "203.0.113.7", "sh -c 'echo \"$1\"' sh '; reboot'"]


def test_host_keys_are_always_checked_and_agents_never_forwarded(state: StateFolder) -> None:
    options = connection(state).argv(["true"])
    assert "StrictHostKeyChecking=yes" in options
    assert "BatchMode=yes" in options
    assert "ForwardAgent=no" in options
    assert f'UserKnownHostsFile="{state.path / "box.known_hosts"}"' in options
    for check in ("ask", "accept-new"):
        asked = connection(state).argv(["true"], check_key=check)  # type: ignore[arg-type]
        assert f"StrictHostKeyChecking={check}" in asked


def test_no_source_ever_turns_host_key_checking_off() -> None:
    for path in Path(ssh.__file__).parent.glob("**/*.py"):
        assert "StrictHostKeyChecking=no" not in path.read_text()


def test_system_ssh_reads_the_options_as_they_are_meant(tmp_path: Path) -> None:
    state = StateFolder.beside(tmp_path / "a fleet of 50% {x}" / "hosts.toml")
    there = connection(state, port=2222, key=tmp_path / "my key", user="ann")
    argv = there.argv(["true"])
    asked = [argv[0], "-G", *argv[1:-1]]
    printed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    options = dict(line.split(" ", 1) for line in printed.splitlines())
    assert options["stricthostkeychecking"] == "true"
    assert options["userknownhostsfile"] in (
        str(state.known_hosts(there.host)),
        f'"{state.known_hosts(there.host)}"',
        str(state.known_hosts(there.host)).replace("%", "%%"),
    )
    assert (options["user"], options["port"]) == ("ann", "2222")
    assert options["forwardagent"] == "no"


def test_state_is_this_users_alone_and_not_git_s(state: StateFolder, tmp_path: Path) -> None:
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert (tmp_path / ".fleet" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(("port", "name"), [(22, "203.0.113.7"), (40022, "[203.0.113.7]:40022")])
def test_key_of_the_hosts_file_replaces_what_was_seen(
    port: int, name: str, state: StateFolder
) -> None:
    there = connection(state, host_key=KEY, port=port)
    known = state.known_hosts(there.host)
    known.write_text(f"{name} ssh-ed25519 OTHER\n")
    assert there.is_pinned()
    assert known.read_text() == f"{name} {KEY}\n"


def test_key_seen_at_another_address_is_no_pin(state: StateFolder) -> None:
    there = connection(state)
    state.known_hosts(there.host).write_text(f"198.51.100.1 {KEY}\n")
    assert not there.is_pinned()


@pytest.mark.parametrize(
    ("stderr", "error", "message"),
    [
        (
            "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@",
            HostKeyError,
            "not the pinned",
        ),
        ("Host key verification failed.", HostKeyError, "has no pinned key yet"),
        (
            "root@x: Permission denied (publickey).",
            AccessError,
            "does not let your default keys in",
        ),
        ("ssh: connect to host x port 22: Connection refused", UnreachableError, "refused"),
        ("", UnreachableError, "it said nothing"),
    ],
)
def test_failure_of_ssh_is_told_by_its_kind(
    stderr: str, error: type[HostError], message: str, state: StateFolder
) -> None:
    with pytest.raises(error, match=message) as raised:
        connection(state).check(255, stderr.encode())
    assert type(raised.value) is error


def test_exit_code_of_the_remote_command_is_no_failure_of_ssh(state: StateFolder) -> None:
    connection(state).check(1, b"Host key verification failed.")


ON_A_FULL_DISK = """
import pathlib, resource, sys
from cluster.fleet.ssh import StateFolder

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no process can write a byte then
StateFolder.beside(pathlib.Path(sys.argv[1]))
"""


def test_full_disk_keeps_the_fleets_files_out_of_git_and_status_and_down_going(
    state: StateFolder,
) -> None:
    hosts = state.path.parents[1] / "hosts.toml"
    words = [sys.executable, "-c", ON_A_FULL_DISK, str(hosts)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    assert (state.path.parent / ".gitignore").read_text() == "*\n"
    assert done.returncode == 0, done.stderr
