"""The keys of a profile: a wrong one is named, and only a cap's variables may be exported."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from cluster.node import thread_env
from profiles import rewritten, written
from tune.profile import file as profile_file
from tune.profile.file import ProfileError
from tune.profile.schema import EXPORTABLE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 9}, "schema_version: this program reads version 1, got 9."),
        (
            {"kind": "quickest"},
            "kind: must be one of fastest, balanced, lean, learning, got 'quickest'.",
        ),
        ({"expected_sps": None}, "expected_sps: missing."),
        ({"expected_sps": "fast"}, "expected_sps: must be a number, got 'fast'."),
        ({"expected_sps": -1.0}, "expected_sps: must be greater than 0, got -1.0."),
        ({"expected_sps": 1e9}, "expected_sps: must lie in the interval of speed, got 1000000000"),
        ({"expected_sps": float("nan")}, "expected_sps: must be finite, got nan."),
        ({"num_envs": 1024}, "num_envs: must be 512, as below config, got 1024."),
        ({"num_minibatches": None}, "num_minibatches: must be 8, as below config, got nothing."),
        ({"config__num_envs": True}, "config.num_envs: must be a whole number, got True."),
        ({"config__batch_size": 4097}, "config: must have a batch_size that divides num_envs *"),
        ({"config": {}}, "config: must name at least one value, got {}."),
        ({"soak__updates": 0}, "soak.updates: must be at least 1, got 0."),
        ({"soak": [1]}, "soak: must map names to values, got [1]."),
        ({"num_evns": 8}, "num_evns: unknown key; known are schema_version, kind,"),
        ({"memory__swap": 8}, "memory.swap: unknown key; known are predicted_device_bytes,"),
        ({"environment__cpus": [0, -1]}, "environment.cpus[1]: must be at least 0, got -1."),
        ({"environment__cpus": [0]}, "environment.cpus: must be as many as the cap 2, got (0,)."),
        ({"created_at": "yesterday"}, "created_at: must be a UTC time in ISO 8601, got 'yest"),
        ({"machine_class": "../../x"}, "machine_class: must be of letters, digits, - and _"),
        ({"machine__gpus": "one"}, "machine.gpus: must be a list, got 'one'."),
        ({"search__trials__lost": 1}, "search.trials: may only count completed, device_memory"),
        (
            {"environment__variables__LD_PRELOAD": "/tmp/x.so"},
            "environment.variables: may only set ARROW_IO_THREADS, CUDA_DEVICE_ORDER, CUDA_VISIBLE",
        ),
    ],
)
def test_a_wrong_key_is_named_with_what_was_got_and_what_to_do(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = rewritten(written(tmp_path), **changes)
    with pytest.raises(ProfileError) as raised:
        profile_file.read(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "search again: python -m tune.jax_phase12" in str(raised.value)


@pytest.mark.parametrize(
    ("framework", "platform", "cap"),
    [*itertools.product(("jax", "torch", "any"), ("cpu", "cuda"), (1, 4))],
)
def test_every_variable_of_a_cap_may_be_exported_and_nothing_else_is(
    framework: thread_env.Framework, platform: thread_env.Platform, cap: int
) -> None:
    user = {"SECRET_TOKEN": "hunter2", "PATH": "/bin", "TF_CPP_MIN_LOG_LEVEL": "3"}
    variables = thread_env.build(cap, platform, range(8), user, framework).variables
    assert variables.keys() <= EXPORTABLE
    assert not {"SECRET_TOKEN", "PATH"} & variables.keys()
