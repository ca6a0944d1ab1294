"""The probe of a bare box: what it must have, and what only slows."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import FleetError
from cluster.fleet import probe
from places import ROOT

PROBED = """\
user root
kernel Linux 6.8.0
python 3.8 bare /usr/bin/python3
python 3.11 venv /usr/bin/python3.11
tool make
tool tar
disk_kb 52428800
shm_kb 1048576
gpu NVIDIA GeForce RTX 4090, 24564 MiB, 550.54.15
end
"""


SEEN = probe.parse(PROBED)


def test_probe_is_read() -> None:
    assert probe.choose_python(SEEN) == "/usr/bin/python3.11"
    assert probe.judge(SEEN, has_environment=False) is None
    assert probe.cautions(SEEN) == []
    assert probe.describe(SEEN) == (
        "root on Linux 6.8.0; NVIDIA GeForce RTX 4090, 24564 MiB, 550.54.15; 50 GiB of disk free"
    )


def test_probe_that_broke_off_is_no_probe() -> None:
    with pytest.raises(FleetError, match="the probe broke off"):
        probe.parse(PROBED.removesuffix("end\n"))


ROW = "NVIDIA GeForce RTX 4090, 24564 MiB, 550.54.15"


@pytest.mark.parametrize(
    ("printed", "status", "gpus", "driver_error"),
    [
        (ROW, 0, (ROW,), None),
        (f"{ROW}\nWARNING: infoROM is corrupted at gpu 0000:B3:00.0", 14, (ROW,), None),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535",
            18,
            (),
            "Failed to initialize NVML: Driver/library version mismatch",
        ),
    ],
)
def test_a_driver_is_asked_and_a_warning_of_its_is_no_fault(
    tmp_path: Path, printed: str, status: int, gpus: tuple[str, ...], driver_error: str | None
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{printed}'\nexit {status}\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", ROOT / "cluster/fleet/probe.sh", tmp_path],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = probe.parse(done.stdout)
    assert (found.gpus, found.driver_error) == (gpus, driver_error)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"driver_error": "Driver/library version mismatch"}, "mismatch.*rent another"),
        ({"tools": frozenset({"tar"})}, "has no make: apt-get install make"),
        ({"tools": frozenset({"make"})}, "has no tar"),
        ({"pythons": (("3.8", False, "/usr/bin/python3"),)}, "has 3.8 at /usr/bin/python3"),
        ({"pythons": ()}, "needs Python 3.11 or newer with venv and ensurepip, has none"),
        ({"disk_bytes": 5 * 2**30}, "has 5.0 GiB of disk left, the environment needs 12"),
        ({"disk_bytes": 2 * 2**30, "gpus": ()}, "has 2.0 GiB of disk left.*needs 3"),
    ],
)
def test_box_that_will_not_do_is_refused_with_what_to_do(
    changes: dict[str, Any], message: str
) -> None:
    problem = probe.judge(dataclasses.replace(SEEN, **changes), has_environment=False)
    assert problem is not None
    with pytest.raises(FleetError, match=message):
        raise FleetError(problem)


def test_environment_that_is_there_needs_no_room() -> None:
    installed = probe.parse(PROBED.replace("tool make", "environment there\ntool make"))
    full = dataclasses.replace(installed, disk_bytes=2**30)
    assert probe.judge(full, has_environment=False) is None


def test_image_that_brings_the_environment_needs_no_tools_to_make_one() -> None:
    bare = dataclasses.replace(SEEN, tools=frozenset({"tar"}), pythons=(), disk_bytes=2**30)
    assert probe.judge(bare, has_environment=True) is None


@pytest.mark.parametrize(
    ("changes", "note"),
    [({"gpus": ()}, "will train on the CPU"), ({"shm_bytes": 64 * 2**20}, "/dev/shm has 64 MiB")],
)
def test_what_only_slows_is_a_note(changes: dict[str, Any], note: str) -> None:
    (said,) = probe.cautions(dataclasses.replace(SEEN, **changes))
    assert note in said
