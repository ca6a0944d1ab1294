"""A search becomes a profile: every key arrives, and nothing unmeasured is promised."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

import factories
from learners import numbered, trained
from machines import IDLE, gpu_host, verdict, visible
from profiles import FULL, loaded, written
from tune.profile import file as profile_file
from tune.profile import view
from tune.search.learned import LearningPlan
from tune.search.learning import judge
from tune.search.result import Kind


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema_version", 1),
        ("kind", "fastest"),
        ("mode", "jax"),
        ("phase", 1),
        ("num_envs", 512),
        ("num_steps", 64),
        ("num_minibatches", 8),
        ("num_epochs", 4),
        ("batch_size", 4096),
        ("device", "cpu"),
        ("expected_sps", 62_000.0),
        ("expected_memory_gb", 0.8),
        ("expected_gpu_util", 87.0),
        ("confirmed", True),
        ("partial", False),
        ("created_at", "2026-11-24T11:00:00+00:00"),
        ("config.batch_size", 4096),
        ("speed.low", 61_200.0),
        ("speed.high", 62_900.0),
        ("speed.num_processes", 2),
        ("speed.converged", True),
        ("speed.compile_s", 2.5),
        ("speed.cpu_flops_per_s", 81.2e9),
        ("speed.cpu_bytes_per_s", 15.6e9),
        ("baseline.config.num_envs", 256),
        ("baseline.steps_per_second", 50_000.0),
        ("baseline.speedup", 1.24),
        ("baseline.speedup_low", 1.2057),
        ("soak.updates", 200),
        ("soak.asked_updates", 200),
        ("soak.measure_s", 131.0),
        ("memory.predicted_device_bytes", 150_000_000),
        ("memory.peak_device_bytes", 180_000_000),
        ("memory.device_budget_bytes", 10_307_921_510),
        ("memory.device_headroom_bytes", 10_307_921_510 - 150_000_000),
        ("memory.peak_host_bytes", 800_000_000),
        ("memory.host_headroom_bytes", 14_602_888_806 - 800_000_000),
        ("threads.cap", 2),
        ("threads.peak_threads", 21),
        ("threads.peak_maps", 1_700),
        ("threads.binding_limit", "pids cgroup /c"),
        ("threads.limit", 1_024),
        ("threads.room", 1_000),
        ("environment.cpus", [0, 1]),
        ("environment.variables.PJRT_NPROC", "2"),
        ("environment.variables.OPENBLAS_NUM_THREADS", "1"),
        ("workload.factory", "trainables.jax_phase12.workload:phase1"),
        ("workload.options.seed", 0),
        ("data.synthetic", True),
        ("data.sha256", "ab" * 32),
        ("search.study", "runs/jax-phase1/journal.log"),
        ("search.objective", "throughput"),
        ("search.gradient_noise_scale", 900.0),
        ("search.trials.completed", 1),
        ("machine_class", "amd-epyc-7543-8cpu"),
        ("machine.cpu_model", "AMD EPYC 7543"),
        ("machine.versions.jaxlib", "0.10.2"),
    ],
)
def test_every_key_arrives(tmp_path: Path, key: str, value: Any) -> None:
    found: Any = loaded(written(tmp_path))
    for name in key.split("."):
        found = found[name]
    assert found == value


def test_phase_3_carries_the_share_that_confirmed_it_on_top(tmp_path: Path) -> None:
    options = {"data": None, "seed": 0, "timesteps_reduction": 0.1}
    path = written(tmp_path, task=factories.task(mode="pytorch", phase=3, options=options))
    assert loaded(path)["timesteps_reduction"] == 0.1
    assert profile_file.read(path).timesteps_reduction == 0.1


@pytest.mark.parametrize(
    ("soak_updates", "confirming", "confirms"),
    [(0, 0, False), (200, 0, True), (201, 0, False), (200, 200, True), (200, 201, False)],
)
def test_a_share_that_was_not_soaked_to_its_end_confirms_nothing(
    tmp_path: Path, soak_updates: int, confirming: int, confirms: bool
) -> None:
    options = {"data": None, "seed": 0, "timesteps_reduction": 0.1}
    task = factories.task(mode="pytorch", phase=3, options=options, confirming_updates=confirming)
    fields = loaded(written(tmp_path, task=task, soak_updates=soak_updates))
    assert ("timesteps_reduction" in fields) == confirms
    assert fields["workload"]["options"]["timesteps_reduction"] == 0.1


def test_what_was_not_measured_is_absent(tmp_path: Path) -> None:
    bare = factories.outcome(predicted_device_bytes=None, peak_host_bytes=None, peak_threads=None)
    result = factories.result(
        chosen={
            Kind.FASTEST: factories.candidate(representative=bare, device_bytes=None, soaks=())
        },
        baseline=None,
    )
    fields = loaded(written(tmp_path, result))
    for absent in ("expected_memory_gb", "expected_gpu_util", "baseline", "soak"):
        assert absent not in fields
    assert fields["memory"].keys() == {"device_budget_bytes", "host_budget_bytes"}
    assert "peak_threads" not in fields["threads"]
    options = fields.pop("workload")
    assert "null" not in yaml.safe_dump(fields)
    assert options["options"] == {"data": None, "seed": 0}  # a choice, not a measurement


def test_peaks_are_over_every_process_that_ran_the_configuration(tmp_path: Path) -> None:
    chosen = factories.candidate()
    soak = factories.trial(
        stage="soak",
        config=dict(reversed(chosen.config.items())),
        outcome=factories.outcome(
            peak_threads=34,
            peak_maps=9_000,
            thread_cap=1,
            measurement=factories.measurement(peak_device_bytes=240_000_000),
        ),
    )
    other = factories.trial(outcome=factories.outcome(peak_threads=90))
    fields = loaded(written(tmp_path, factories.result(trials=(other, soak))))
    assert fields["threads"]["peak_threads"] == 34
    assert fields["threads"]["peak_maps"] == 9_000
    assert fields["memory"]["peak_device_bytes"] == 240_000_000
    assert fields["threads"]["cap"] == 1
    assert fields["environment"]["cpus"] == [0]
    assert fields["environment"]["variables"]["PJRT_NPROC"] == "1"


def test_the_memory_that_is_expected_of_a_gpu_is_the_most_that_the_soak_took_too(
    tmp_path: Path,
) -> None:
    chosen = factories.candidate(representative=FULL)
    grown = factories.outcome(measurement=factories.measurement(peak_device_bytes=240_000_000))
    soak = factories.trial(stage="soak", config=chosen.config, outcome=grown)
    result = factories.result(trials=(soak,), chosen={Kind.FASTEST: chosen})
    fields = loaded(written(tmp_path, result, preflight=verdict(gpu_host())))
    assert fields["expected_memory_gb"] == 0.24


def test_a_foreign_workloads_axes_are_top_level_unless_a_key_has_their_name(
    tmp_path: Path,
) -> None:
    result = factories.result(
        chosen={Kind.FASTEST: factories.candidate(config={"width": 64, "phase": 3})}
    )
    path = written(tmp_path, result, task=factories.task(mode="make_env", phase=None))
    fields = loaded(path)
    assert (fields["width"], fields["config"]) == (64, {"width": 64, "phase": 3})
    assert "phase" not in fields
    assert path.name == "amd-epyc-7543-8cpu-make_env-fastest.yaml"
    assert profile_file.read(path).config == {"width": 64, "phase": 3}


@pytest.mark.parametrize("scale", [0.0, 0.9])
def test_a_training_of_less_than_a_step_a_second_has_a_profile_that_can_be_read(
    tmp_path: Path, scale: float
) -> None:
    slow = factories.candidate(
        steps_per_second=0.0213,
        low=0.0213 * scale,
        high=0.0224,
        soaks=(factories.measurement(steps_per_second=0.0211),),
    )
    result = factories.result(
        chosen={Kind.FASTEST: slow},
        baseline=dataclasses.replace(slow, steps_per_second=0.0154, low=0.0149 * scale),
    )
    profile = profile_file.read(written(tmp_path, result))
    assert profile.expected_sps == 0.0213
    assert profile.baseline is not None
    assert profile.baseline.steps_per_second == 0.0154
    assert profile.soak is not None
    assert profile.soak.steps_per_second == 0.0211
    cost = view.cost(profile, 1000.0, 2.0)
    assert (" or more)" in cost) == (scale == 0.0)


def test_a_secret_of_the_environment_stays_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_API_KEY", "hunter2")
    assert "hunter2" not in written(tmp_path).read_text()


def test_what_trials_inherited_is_in_the_profile(tmp_path: Path) -> None:
    given = {
        "XLA_FLAGS": "--xla_gpu_autotune_level=2",
        "JAX_DEFAULT_MATMUL_PRECISION": "BF16_BF16_F32",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5",
        "XLA_PYTHON_CLIENT_ALLOCATOR": "cuda_async",
        "JAX_ENABLE_X64": "1",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
        "OMP_NUM_THREADS": "7",
        "TF_CPP_MIN_LOG_LEVEL": "",
        "CUDA_VISIBLE_DEVICES": "3",
        "CLOUD_API_KEY": "hunter2",
    }
    found = verdict(gpu_host())
    variables = loaded(written(tmp_path, preflight=found, environ=given))["environment"][
        "variables"
    ]
    assert variables["XLA_FLAGS"].startswith(given["XLA_FLAGS"])
    assert variables["OMP_NUM_THREADS"] == "1", "trials did not keep it"
    absent = {"TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "CLOUD_API_KEY"}
    assert not absent & variables.keys()
    for name in given.keys() - absent - {"XLA_FLAGS", "OMP_NUM_THREADS"}:
        assert variables[name] == given[name]


@pytest.mark.parametrize("flags", ["", "--xla_b=2"])
def test_the_flags_of_the_configuration_take_the_place_of_the_person_s(
    tmp_path: Path, flags: str
) -> None:
    config = factories.candidate().config | ({"env.XLA_FLAGS": flags} if flags else {})
    result = factories.result(chosen={Kind.FASTEST: factories.candidate(config=config)})
    path = written(tmp_path, result, environ={"XLA_FLAGS": "--xla_a=1"})
    assert loaded(path)["environment"]["variables"]["XLA_FLAGS"] == (flags or "--xla_a=1")


@pytest.mark.parametrize("has_host_memory", [False, True], ids=["own memory", "the host's"])
def test_a_profile_has_the_order_and_the_share_of_gpus_and_not_the_number_of_this_one(
    tmp_path: Path, has_host_memory: bool
) -> None:
    usage = dataclasses.replace(IDLE, has_host_memory=has_host_memory)
    found = verdict(gpu_host(visible("1", usage=usage)))
    variables = loaded(written(tmp_path, preflight=found))["environment"]["variables"]
    assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] == ("0.6" if has_host_memory else "0.9")
    assert "CUDA_VISIBLE_DEVICES" not in variables


@pytest.mark.parametrize("counted", ["update", "reading"])
def test_a_soak_has_what_it_counted(tmp_path: Path, counted: str) -> None:
    soak = factories.measurement(num_updates=200, counted=counted)
    result = factories.result(chosen={Kind.FASTEST: factories.candidate(soaks=(soak,))})
    path = written(tmp_path, result)
    assert loaded(path)["soak"].get("counted", "update") == counted
    shown = dict(next(iter(view.sections(profile_file.read(path), []).values())))["soak"]
    assert shown.startswith(f"200 of 200 {counted}s in ")


LEARNER = factories.candidate().config


@pytest.mark.parametrize(
    ("seconds", "target", "expected", "said"),
    [
        (
            [4.0, 4.0],
            100.0,
            {"num_seeds": 2, "training_s": 20.0, "target": 100.0, "seconds": 4.0},
            "100 after 4 s of training (",
        ),
        (  # the first ended at the target: nobody knows what it would have come to
            [4.0, 60.0],
            100.0,
            {"num_seeds": 2, "training_s": 20.0, "target": 100.0},
            "100 was not reached by every seed in 20 s of training, ",
        ),
        (
            [40.0, 60.0],
            100.0,
            {"num_seeds": 2, "training_s": 20.0, "final_return": 37.5, "target": 100.0},
            "a return of 37.5 after 20 s of training, ",
        ),
        (
            [40.0],
            None,
            {"num_seeds": 1, "training_s": 20.0, "final_return": 45.0},
            "a return of 45 after 20 s of training, ",
        ),
    ],
)
def test_what_trainings_told_is_in_the_profile(
    tmp_path: Path,
    seconds: list[float],
    target: float | None,
    expected: dict[str, float],
    said: str,
) -> None:
    trials = numbered([trained(LEARNER, one) for one in seconds])
    judgement = judge(trials, LearningPlan(target=target, training_s=20.0))
    path = written(tmp_path, factories.result(trials=tuple(trials), judgement=judgement))
    found = loaded(path)["learning"]
    bounds = {name: found.pop(name) for name in ("low", "high") if name in found}
    assert found == pytest.approx(expected, rel=0.02)
    assert bool(bounds) == ("seconds" in expected)
    if bounds:
        assert bounds["low"] < found["seconds"] < bounds["high"]
    read = profile_file.read(path)
    text = dict(next(iter(view.sections(read, []).values())))["learning"]
    assert text.startswith(said)
    assert text.endswith(f"over {len(seconds)} seed" + "s" * (len(seconds) > 1))


def test_a_profile_that_has_a_return_of_seeds_at_the_target_is_still_read(tmp_path: Path) -> None:
    trials = numbered([trained(LEARNER, one) for one in (4.0, 4.2)])
    judgement = judge(trials, LearningPlan(target=100.0, training_s=20.0))
    path = written(tmp_path, factories.result(trials=tuple(trials), judgement=judgement))
    old = path.read_text().replace("  target: 100.0\n", "  final_return: 100.0\n  target: 100.0\n")
    path.write_text(old)
    assert profile_file.to_yaml(profile_file.read(path)) == old


@pytest.mark.parametrize("target", [None, 9_000.0])
def test_returns_in_the_thousands_are_no_seconds(tmp_path: Path, target: float | None) -> None:
    trials = numbered([trained(LEARNER, 4.0, top=top) for top in (5_000.0, 3_600.0)])
    judgement = judge(trials, LearningPlan(target=target, training_s=20.0))
    path = written(tmp_path, factories.result(trials=tuple(trials), judgement=judgement))
    found = loaded(path)["learning"]
    assert found["final_return"] == 4_300.0
    assert not {"seconds", "low", "high"} & found.keys()


def test_a_search_of_speed_has_no_learning_in_its_profile(tmp_path: Path) -> None:
    assert "learning" not in loaded(written(tmp_path))
