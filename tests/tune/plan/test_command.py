"""The command of --plan: it refuses before it compiles, and the real compiler takes its words."""

import importlib.util
import json
from pathlib import Path

import pytest

import good_bars
from cluster.errors import UserError
from tune import jax_phase12
from tune.jax_phase12 import JaxSpec
from tune.plan import command, gpus


def test_the_command_refuses_before_it_compiles() -> None:
    with pytest.raises(UserError, match="GTX 970"):
        jax_phase12.run(JaxSpec(plan="GTX 970"))
    with pytest.raises(UserError, match="--memory-budget is a size like 8GiB"):
        jax_phase12.run(JaxSpec(plan="L4", memory_budget="much"))
    spec = JaxSpec(plan="L4", workload="fake_workloads:Full", space=("a=1:1024", "b=1:1024"))
    with pytest.raises(UserError, match="at most 24, got 121: narrow --space"):
        jax_phase12.run(spec)


def test_it_says_what_it_read_of_the_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise UserError("far enough.")

    monkeypatch.setattr(command, "make", stop)
    (tmp_path / "bars.csv").write_text("\n".join([good_bars.HEADER, *good_bars.lines()]))
    with pytest.raises(UserError, match="far enough"):
        jax_phase12.run(JaxSpec(plan="L4", data=tmp_path / "bars.csv"))
    assert capsys.readouterr().out.startswith("Read bars.csv: ")


@pytest.mark.slow
@pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in command._PLUGINS),
    reason="needs JAX's CUDA plugin: pip install -e '.[cuda13]'",
)
@pytest.mark.parametrize("name", ["RTX 4090", "H100"])
def test_the_real_compiler_accepts_the_description(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    space = ("num_envs=64,128", "num_steps=32", "batch_size=512")
    assert jax_phase12.run(JaxSpec(plan=name, space=space, json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["compiled_for"] == gpus.find(name).device, document["note"]
    small, large = (entry["device_bytes"] for entry in document["configurations"])
    assert 10**6 < small < large < 10**9
