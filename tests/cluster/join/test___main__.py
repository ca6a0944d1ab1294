"""The command: a mistake is one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.join import membership
from places import ROOT

HERE = ("head", "--address", "192.0.2.1")


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (("head", "--address", "0.0.0.0"), "", "must be an address that other hosts reach"),
        (("head", "--address", "127.0.0.1"), "", "must be an address that other hosts reach"),
        (("head", "--address", "me"), "", "--address is an IP address like 10.0.0.1, got 'me'"),
        (("worker", "--head", "nobody"), "", "--head is an IP address"),
        (("token",), "too short", "stdin holds no token"),
        ((*HERE, "--num-gpus", "-1"), "", "--num-gpus must be at least"),
        ((*HERE, "--max-hours", "0"), "", "--max-hours must be above 0 and at most 720, got 0.0"),
        ((*HERE, "--stop-command", "sh", "--max-hours", "1"), "", "needs --max-hours in front of"),
        (
            (*HERE, "--max-hours", "1", "--stop-command", "no-such", "-x"),
            "",
            "no program 'no-such'",
        ),
        (  # before the dead-man is armed, which outlives this
            (*HERE, "--port", "0", "--max-hours", "1", "--stop-command", "no-such"),
            "",
            "--port must be from 1024",
        ),
        ((*HERE, "--max-hours", "1", "--stop-command=no-such"), "", "no program 'no-such'"),
        ((*HERE, "--max-hours", "1", "--stop_command", "no-such"), "", "no program 'no-such'"),
        ((*HERE, "--max-hours", "1", "--stop_command=no-such", "-x"), "", "no program 'no-such'"),
        ((*HERE, "--max-hours", "1", "--stop-command"), "", "--stop-command needs the command"),
        (("disarm", "--stop-command", "sh"), "", "--stop-command is for head and worker"),
    ],
)
def test_mistake_is_one_sentence(
    words: tuple[str, ...], stdin: str, message: str, short_dir: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cluster.join", *words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(short_dir)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_does_not_import_ray() -> None:
    code = "import cluster.join.__main__, sys; raise SystemExit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_token_is_brought_by_a_shell_without_an_environment(short_dir: Path) -> None:
    (short_dir / "cluster").symlink_to(ROOT / "cluster")
    python = short_dir / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    done = subprocess.run(
        ["sh", "-c", membership.BRING_TOKEN.replace("FOLDER", str(short_dir))],
        input="7" * 64,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(short_dir)},
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith(f"the token is in {short_dir}"), done.stderr
    assert f"'{membership.BRING_TOKEN}'" in (ROOT / "cluster" / "README.md").read_text()
