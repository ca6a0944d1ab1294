"""How the cluster that a driver joins takes a token, from the raylet on its own host."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cluster.node.raylets import token_variables


def raylet(proc: Path, pid: int, gcs: str, environ: Mapping[str, str]) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "comm").write_text("raylet\n")
    words = ("raylet", "--x=--gcs-address=9.9.9.9:1", f"--gcs-address={gcs}")
    (folder / "cmdline").write_text("\0".join(words) + "\0")
    pairs = (f"{name}={value}" for name, value in environ.items())
    (folder / "environ").write_text("\0".join(pairs) + "\0")


ELSEWHERE = {"RAY_ADDRESS": "10.0.0.2:7"}
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/there/token"}
OF_RAY = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/home/a/.ray/auth_token"}


@pytest.mark.parametrize(
    ("raylets", "address", "environ", "expected"),
    [
        ({}, "10.0.0.1", {}, None),
        ({"10.0.0.1:6379": {}}, "10.0.0.1", {}, {}),
        ({"10.0.0.1:6379": TOKEN | {"A": "b"}}, "10.0.0.1:6379", {}, TOKEN),
        ({"10.0.0.1:6379": TOKEN}, "head.internal", {}, TOKEN),
        ({"10.0.0.1:6379": TOKEN}, "10.0.0.1:6380", {}, None),
        ({"10.0.0.1:6379": TOKEN}, "auto", {}, TOKEN),
        ({"10.0.0.1:6379": TOKEN, "10.0.0.2:6379": {}}, "10.0.0.2", {}, {}),
        ({"10.0.0.1:6379": TOKEN, "10.0.0.2:7": {}}, "auto", ELSEWHERE, {}),
        (
            {"10.0.0.1:6379": TOKEN, "10.0.0.2:7": {}},
            "10.0.0.1",
            ELSEWHERE,
            TOKEN,
        ),
        ({"127.0.0.1:54321": TOKEN, "10.0.0.2:6379": {}}, "auto", {}, {}),
        ({"10.0.0.1:6379": {"RAY_AUTH_MODE": "token", "HOME": "/home/a"}}, "auto", {}, OF_RAY),
        # A raylet here is none of the cluster that Ray's client is to reach.
        ({"10.0.0.1:10001": TOKEN}, "ray://10.0.0.1:10001", {}, {}),
        ({}, "ray://10.0.0.1", {"RAY_AUTH_TOKEN": "x"}, {"RAY_AUTH_TOKEN": "x"}),
        # What the person's own environment says of a token is theirs to say.
        ({"10.0.0.1:6379": {}}, "auto", TOKEN, TOKEN),
        ({"10.0.0.1:6379": TOKEN}, "auto", {"RAY_AUTH_TOKEN": "x"}, {"RAY_AUTH_TOKEN": "x"}),
    ],
)
def test_token_is_the_clusters(
    tmp_path: Path,
    raylets: Mapping[str, Mapping[str, str]],
    address: str,
    environ: Mapping[str, str],
    expected: Mapping[str, str] | None,
) -> None:
    for pid, (gcs, own) in enumerate(raylets.items(), start=10):
        raylet(tmp_path, pid, gcs, own)
    (tmp_path / "99").mkdir()  # it ended
    (tmp_path / "100").mkdir()
    (tmp_path / "100" / "comm").write_text("python\n")
    assert token_variables(address, environ, proc=tmp_path) == expected
