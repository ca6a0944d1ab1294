"""The signs of a container, over a fake tree of files."""

from pathlib import Path

import pytest

from cluster.node import container
from cluster.node.container import Container


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("files", "environ", "evidence", "provider"),
    [
        ({".dockerenv": ""}, {}, "/.dockerenv", None),
        ({"run/.containerenv": ""}, {}, "/run/.containerenv", None),
        ({"proc/self/cgroup": "0::/kubepods/pod1"}, {}, "/kubepods/pod1", None),
        ({}, {"RUNPOD_POD_ID": "x"}, "RUNPOD_POD_ID", "RunPod"),
        ({}, {"VAST_CONTAINERLABEL": "C.1"}, "VAST_CONTAINERLABEL", "Vast"),
    ],
)
def test_a_container_shows_itself(
    tmp_path: Path,
    files: dict[str, str],
    environ: dict[str, str],
    evidence: str,
    provider: str | None,
) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)
    found = container.container(root=tmp_path, environ=environ)
    assert found == Container(evidence=(evidence,), provider=provider, gvisor=False)


def test_a_workstation_is_no_container(tmp_path: Path) -> None:
    assert container.container(root=tmp_path, environ={}) is None


def test_gvisor_is_known_by_the_kernel_it_claims_to_be(tmp_path: Path) -> None:
    write(tmp_path / "proc/version", "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016")
    found = container.container(root=tmp_path, environ={})
    assert found
    assert found.gvisor
