"""The check of one host, as it runs there."""

import sys
from pathlib import Path

import pytest

from cluster.node import nvml, source
from tune.driver.hosts import host_check
from tune.driver.hosts.host_check import check_here
from tune.preflight.findings import Preflight, PreflightRequest

REQUEST = PreflightRequest(ray_runs=True)


def test_host_that_can_take_part_says_what_it_allows(tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    bars.touch()
    verdict = check_here(code=source.digest(), files=(str(bars),), request=REQUEST)
    assert isinstance(verdict, Preflight)
    assert verdict.ray_threads < 60, "only the actors are still to come"


def test_host_that_cannot_take_part_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "its code is another one" in str(check_here(code="x", files=(), request=REQUEST))
    code, gone = source.digest(), f"{tmp_path}/gone"
    said = check_here(code=code, files=(gone,), request=REQUEST)
    assert said == f"it has no {gone}: copy it to the same path on every host."
    monkeypatch.setitem(sys.modules, "jax", None)
    assert check_here(code=code, files=(), request=REQUEST) == (
        "its Python has no jax: pip install 'jax' there."
    )
    monkeypatch.undo()
    for hidden, package, brings in (
        ("pandas", "ray.tune", "ray[tune]"),
        ("pynvml", "pynvml", "nvidia-ml-py"),
    ):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, hidden, None)
            patched.setattr(nvml, "has_device_file", lambda: True)
            for name in [name for name in sys.modules if name.startswith("ray.tune")]:
                patched.delitem(sys.modules, name)
            said = check_here(code=code, files=(), request=REQUEST)
        assert said == f"its Python has no {package}: pip install '{brings}' there."


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "ray.exceptions.RayTaskError\n  import pandas\nModuleNotFoundError: "
            "No module named 'pandas'",
            "its Python has no pandas: pip install 'pandas' there.",
        ),
        ("Failed to unpack.\n  The disk is full.\n", "its check failed: The disk is full."),
    ],
)
def test_check_that_fails_there_is_one_sentence(said: str, sentence: str) -> None:
    assert host_check._fault(said) == sentence
