"""A profile as a person reads it."""

from pathlib import Path

import pytest

from profiles import written
from tune.profile import __main__ as profile


def test_show_says_everything_a_person_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile.main(["show", str(written(tmp_path))]) == 0
    said = capsys.readouterr().out
    for text in (
        "jax phase 1, fastest on cpu",
        "512 envs x 64 steps, batch 4096, 4 epochs",
        "62.0 K env steps/s, 95 % interval 61.2 K to 62.9 K, from 2 fresh processes",
        "1.24 x (1.21 x to 1.28 x) the speed of 256 x 128, 4 minibatches at 50.0 K",
        "200 of 200 updates",
        "confirmed by finals",
        "172 MiB measured, 143 MiB predicted; 9.60 GiB allowed",
        "21 at most, under a cap of 2; pids cgroup /c had room for 1,000",
        "a synthetic market (sha256 abababababab...)",
        "differs: CPU was AMD EPYC 7543",
    ):
        assert text in said
