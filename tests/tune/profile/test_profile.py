"""A profile arrives whole, promises nothing unmeasured, and refuses whatever is wrong with it."""

import dataclasses
import itertools
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import factories
from cluster.node import hardware, thread_env
from cluster.node.stdout import UNREAD
from pids_cgroup import cpu_seconds_of_children
from places import ROOT
from profiles import loaded, rewritten, written
from trainables.measurement import Outcome, OutcomeKind
from tune.profile import __main__ as profile
from tune.profile import file as profile_file
from tune.profile import validate as validation
from tune.profile.file import ProfileError
from tune.profile.schema import EXPORTABLE, Profile
from tune.search.result import Kind


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    profile = profile_file.read(path)
    assert profile_file.to_yaml(profile) == path.read_text()
    assert profile_file.read(profile_file.write(profile, tmp_path / "again")) == profile


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
        ("baseline.config.num_envs", 256),
        ("baseline.steps_per_second", 50_000.0),
        ("baseline.speedup", 1.24),
        ("baseline.speedup_low", 1.2071),
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


def test_the_keys_that_trainers_read_stand_first_and_the_header_says_how_to_use_them(
    tmp_path: Path,
) -> None:
    path = written(tmp_path)
    assert list(loaded(path))[:9] == [
        "schema_version",
        "kind",
        "mode",
        "phase",
        "num_envs",
        "num_steps",
        "num_minibatches",
        "num_epochs",
        "batch_size",
    ]
    assert path.name == "amd-epyc-7543-8cpu-phase1-fastest.yaml"
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert f"python -m tune.profile env {path.name}" in header[1]
    assert f"python -m tune.profile validate {path.name}" in header[2]


def test_phase_3_carries_the_share_that_confirmed_it_on_top(tmp_path: Path) -> None:
    options = {"data": None, "seed": 0, "timesteps_reduction": 0.1}
    path = written(tmp_path, task=factories.task(mode="pytorch", phase=3, options=options))
    assert loaded(path)["timesteps_reduction"] == 0.1
    assert profile_file.read(path).timesteps_reduction == 0.1


@pytest.mark.parametrize("command", ["show", "env", "validate"])
def test_a_reader_that_has_seen_enough_sees_no_traceback(tmp_path: Path, command: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    ended = subprocess.run(
        [sys.executable, "-m", "tune.profile", command, str(written(tmp_path))],
        cwd=ROOT,
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writes)
    assert (ended.returncode, "Traceback" in ended.stderr) == (UNREAD, False), ended.stderr


def test_what_was_not_measured_is_absent(tmp_path: Path) -> None:
    bare = factories.outcome(predicted_device_bytes=None, peak_host_bytes=None, peak_threads=None)
    result = factories.result(
        chosen={
            Kind.FASTEST: factories.candidate(representative=bare, device_bytes=None, soak=None)
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
        outcome=factories.outcome(peak_threads=34, peak_maps=9_000, thread_cap=1),
    )
    other = factories.trial(outcome=factories.outcome(peak_threads=90))
    fields = loaded(written(tmp_path, factories.result(trials=(other, soak))))
    assert fields["threads"]["peak_threads"] == 34
    assert fields["threads"]["peak_maps"] == 9_000
    assert fields["threads"]["cap"] == 1
    assert fields["environment"]["cpus"] == [0]
    assert fields["environment"]["variables"]["PJRT_NPROC"] == "1"


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 9}, "schema_version: this program reads version 1, got 9."),
        ({"kind": "quickest"}, "kind: must be one of fastest, balanced, lean, got 'quickest'."),
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
            "environment.variables: may only set ARROW_IO_THREADS, CUDA_VISIBLE_DEVICES,",
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
    ("text", "message"),
    [
        ("a: [1", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("created_at: 2026-13-45", "is not YAML"),
        ("", "the whole file: must map names to values, got None"),
        ("- 1", "the whole file: must map names to values, got [1]"),
        ("\udcff", "is not YAML"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ProfileError) as raised:
        profile_file.read(path)
    assert message in str(raised.value)


def test_a_missing_file_says_how_to_find_others(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"No such file or directory\. List the profiles"):
        profile_file.read(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("proven", "partial", ["x.yaml", "x-unproven.yaml"]),
        ("proven", "unconfirmed", ["x.yaml", "x-unproven.yaml"]),
        ("proven", "proven", ["x.yaml", "x.yaml"]),
        ("partial", "partial", ["x.yaml", "x.yaml"]),
        ("partial", "proven", ["x.yaml", "x.yaml"]),
        ("corrupt", "partial", ["x.yaml", "x.yaml"]),
    ],
)
def test_an_unproven_profile_never_takes_the_place_of_a_proven_one(
    tmp_path: Path, first: str, second: str, names: list[str]
) -> None:
    proven = profile_file.read(written(tmp_path / "source"))
    variants = {
        "proven": proven,
        "corrupt": proven,
        "partial": dataclasses.replace(proven, partial=True),
        "unconfirmed": dataclasses.replace(proven, confirmed=False),
    }
    paths = [profile_file.write(variants[first], tmp_path)]
    if first == "corrupt":
        paths[0].write_text("half a pro")
    paths.append(profile_file.write(variants[second], tmp_path))
    stem = "amd-epyc-7543-8cpu-phase1-fastest"
    assert [path.name.replace(stem, "x") for path in paths] == names
    assert profile_file.read(paths[-1]) == variants[second]


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ProfileError, match="Nothing is lost: repeat the command with --resume"):
        written(blocked)


@pytest.mark.parametrize(
    ("framework", "platform", "cap"),
    [*itertools.product(("jax", "torch"), ("cpu", "cuda"), (1, 4))],
)
def test_every_variable_of_a_cap_may_be_exported_and_nothing_else_is(
    framework: thread_env.Framework, platform: thread_env.Platform, cap: int
) -> None:
    user = {"SECRET_TOKEN": "hunter2", "PATH": "/bin", "TF_CPP_MIN_LOG_LEVEL": "3"}
    variables = thread_env.build(cap, platform, range(8), user, framework).variables
    assert variables.keys() <= EXPORTABLE
    assert not {"SECRET_TOKEN", "PATH"} & variables.keys()


def test_a_secret_of_the_environment_stays_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_API_KEY", "hunter2")
    assert "hunter2" not in written(tmp_path).read_text()


def test_another_machine_is_told_by_its_differences(tmp_path: Path) -> None:
    profile = profile_file.read(written(tmp_path))
    assert profile_file.differences(profile, profile.machine) == []
    other = dataclasses.replace(profile.machine, num_cpus=64)
    assert profile_file.differences(profile, other) == ["number of CPUs was 8, is 64 here."]


AWKWARD = "--xla_dump_to='/a b' --x=$HOME;`touch pwned` \\\"!"


def test_a_real_shell_gets_exactly_the_values(tmp_path: Path) -> None:
    path = rewritten(written(tmp_path), environment__variables__XLA_FLAGS=AWKWARD)
    names = list(loaded(path)["environment"]["variables"])
    evaluated = in_bash(path, "env -0", tmp_path)
    got = dict(item.split("=", 1) for item in evaluated.stdout.split("\0") if "=" in item)
    assert {name: got[name] for name in names} == loaded(path)["environment"]["variables"]
    assert evaluated.returncode == 0
    assert not (tmp_path / "pwned").exists()


def in_bash(path: Path, then: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `eval "$(python -m tune.profile env FILE)" && then` in a bash of its own."""
    command = f'eval "$({sys.executable} -m tune.profile env {shlex.quote(str(path))})" && {then}'
    return subprocess.run(
        ["bash", "-c", command],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_training_does_not_start_without_the_caps(tmp_path: Path) -> None:
    path = rewritten(written(tmp_path), kind="quickest")
    done = in_bash(path, "echo training", tmp_path)
    assert "training" not in done.stdout
    assert done.returncode != 0
    assert "kind: must be one of" in done.stderr


def test_env_says_which_cpus_to_bind_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rewritten(written(tmp_path), environment__cpus=[0, 4095])
    assert profile.main(["env", str(path)]) == 0
    said = capsys.readouterr()
    assert "export PJRT_NPROC='2'\n" in said.out
    assert "(CPUs 0,4095 of the profile are not allowed here)" in said.out
    assert "4095 YOUR TRAINING" not in said.out
    assert "warning: this machine is another: CPU was AMD EPYC 7543" in said.err


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


def test_list_shows_what_it_can_and_names_what_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile.main(["list", str(tmp_path)]) == 0
    assert "No profiles in" in capsys.readouterr().out
    written(tmp_path)
    (tmp_path / "broken.yaml").write_text("a: [")
    assert profile.main(["list", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "amd-epyc-7543-8cpu-phase1-fastest.yaml  512 x 64 / 4096 num_epochs=4" in said.out
    assert "confirmed, 2026-11-24" in said.out
    assert "broken.yaml is not YAML" in said.err


def test_a_mistake_is_one_sentence_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile.main(["show", "nowhere.yaml"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: nowhere.yaml: No such file")
    assert said.err.count("\n") == 1


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    before = cpu_seconds_of_children()
    command = [sys.executable, "-m", "tune.profile", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "validate" in done.stdout) == (0, True)
    assert cpu_seconds_of_children() - before < 1  # 0.15 s on a quiet machine
    heavy = "{'ray', 'jax', 'numpy', 'rich', 'optuna'} & set(sys.modules)"
    code = f"import tune.profile, sys; raise SystemExit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def speeds(*values: float) -> list[Outcome]:
    return [
        factories.outcome(
            measurement=factories.measurement(
                steps_per_second=value, low=0.99 * value, high=1.01 * value
            )
        )
        for value in values
    ]


@pytest.mark.parametrize(
    ("outcomes", "exit_code", "sentence"),
    [
        (speeds(61_000.0), 0, "gets 0.98 x of what the profile promises: it holds."),
        (speeds(55_900.0), 0, "gets 0.90 x of what the profile promises: it holds."),
        (speeds(68_100.0), 0, "gets 1.10 x of what the profile promises: it holds."),
        (speeds(40_000.0, 61_000.0, 62_000.0), 0, "median of 3 fresh processes"),
        (speeds(54_000.0, 53_000.0, 55_000.0), 1, "gets 0.87 x of what the profile promises: out"),
        (speeds(54_000.0, 53_000.0, 55_000.0), 1, "something else uses this machine"),
        (speeds(54_000.0, 55_000.0, 62_000.0), 1, "The intervals overlap, so noise could explain"),
        (speeds(80_000.0, 80_000.0, 80_000.0), 1, "faster than the profile knows"),
        (
            [factories.failed(OutcomeKind.DEVICE_MEMORY, "21 GiB of 9.")],
            1,
            "needs more device memory than the budget. 21 GiB of 9.",
        ),
        ([factories.failed(OutcomeKind.ERROR, "no jax.")], 2, "no jax."),
    ],
)
def test_validation_is_exit_0_within_a_tenth(
    tmp_path: Path, outcomes: list[Outcome], exit_code: int, sentence: str
) -> None:
    profile = profile_file.read(written(tmp_path))
    said: list[str] = []
    waiting = iter(outcomes)
    assert validation.validate(profile, lambda: next(waiting), said.append) == exit_code
    assert sentence in "\n".join(said)
    assert next(waiting, None) is None
    if exit_code == 1 and len(outcomes) > 1:
        assert "two more fresh processes rule out noise" in "\n".join(said)


def test_validation_runs_under_the_profiles_own_caps(tmp_path: Path) -> None:
    allowed = sorted(hardware.limits.cpus().allowed)
    path = written(tmp_path)
    profile = profile_file.read(path)
    here = validation.environment(profile, "cpu", {})
    assert here.variables == profile.environment.variables
    assert set(here.cpus) <= set(allowed)
    elsewhere = profile_file.read(rewritten(path, environment__cpus=[4094, 4095]))
    assert set(validation.environment(elsewhere, "cpu", {}).cpus) <= set(allowed)
    assert validation.environment(profile, "cuda", {}).variables["JAX_PLATFORMS"] == "cuda"


def test_a_gpus_profile_needs_a_gpu(tmp_path: Path) -> None:
    profile: Profile = dataclasses.replace(profile_file.read(written(tmp_path)), device="cuda")
    assert validation.platform_for(profile, "cpu", 0) == "cpu"
    assert validation.platform_for(profile, "auto", 1) == "cuda"
    with pytest.raises(ProfileError, match="the profile is for a GPU, and NVML"):
        validation.platform_for(profile, "auto", 0)


@pytest.mark.slow
def test_a_real_validation_measures_in_a_fresh_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The workload sleeps 20 ms per 100 env steps: 5,000 env steps per second, on any machine."""
    speed = {"steps_per_second": 4_950.0, "low": 4_900.0, "high": 5_000.0}
    sleeper = factories.candidate(config={"update_ms": 20, "env_steps": 100}, **speed)
    task = factories.task(workload="tests.fake_workloads:Sleeper", options={})
    path = written(tmp_path, factories.result(chosen={Kind.FASTEST: sleeper}), task=task)
    assert profile.main(["validate", str(path)]) == 0
    assert "process 1: " in capfd.readouterr().out
    fields = {"expected_sps": 8_000.0, "speed__low": 7_900.0, "speed__high": 8_100.0}
    assert profile.main(["validate", str(rewritten(path, **fields))]) == 1
    assert "median of 3 fresh processes" in capfd.readouterr().out
    broken = rewritten(path, workload__factory="tests.fake_workloads:nothing")
    assert profile.main(["validate", str(broken)]) == 2


def test_the_profile_is_json_too(tmp_path: Path) -> None:
    """What YAML holds are plain values: other programs may read it as they like."""
    assert json.loads(json.dumps(loaded(written(tmp_path)))) == loaded(written(tmp_path))
