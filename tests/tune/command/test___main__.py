"""The command line of a training command: what is refused before anything runs, and what would."""

import shlex
import sys
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.node import ray_env
from cluster.structure import revive
from factories import measurement, outcome
from search_spaces.space import SearchSpace
from trainables.command.options import FACTORY, CommandOptions, filled_in
from trainables.command.readings import ReadingKind, ReturnLines
from tune import session
from tune.command import __main__ as command
from tune.command import probe
from tune.command.__main__ import (
    CommandSpec,
    options_of,
    run_options_of,
    space_of,
    split_at_dashes,
    task_of,
)
from tune.command.probe import Probed
from tune.command.view import dry_run
from tune.preflight.trying import TriedOut
from tune.search.objective import Objective
from tune.spec import Task

TRAIN = ["python3", "ppo.py", "--num-envs", "{num_envs}", "--num-steps", "{num_steps}"]
SPACE = ("num_envs=4:16", "num_steps=64,128")
GPU_IS_GIVEN = "CUDA_VISIBLE_DEVICES is set by the search, for each trial: set it before "


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder with a script."""
    (tmp_path / "ppo.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "conf.yaml").write_text("a: 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(arguments: list[str], **options: object) -> str:
    spec = CommandSpec(**{"space": SPACE, **options})  # type: ignore[arg-type]
    with pytest.raises(UserError) as refusal:
        options_of(spec, arguments, space_of(spec, arguments))
    return str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ([], {}, "write the training command behind --, as in"),
        (TRAIN, {"space": ()}, "--space names what varies"),
        (TRAIN[:4], {}, "the command does not use num_steps: write {num_steps}"),
        ([*TRAIN, "{num_env}"], {}, "{num_env}, which is no axis: did you mean {num_envs}?"),
        (
            [*TRAIN, "{seed}"],
            {"space": (*SPACE, "seed=1,2")},
            "--space cannot vary seed: {seed} is",
        ),
        (["pyhton3", *TRAIN[1:]], {}, "there is no program 'pyhton3'"),
        (["LR=1", *TRAIN], {}, "a variable of the command goes before its dashes: --env LR=1"),
        (["CUDA_VISIBLE_DEVICES=1", *TRAIN], {}, GPU_IS_GIVEN),
        (["env", "CUDA_VISIBLE_DEVICES=1", *TRAIN], {}, GPU_IS_GIVEN),
        (TRAIN, {"env": ("CUDA_VISIBLE_DEVICES=1",)}, GPU_IS_GIVEN),
        (["./ppo.py", *TRAIN[2:]], {}, "./ppo.py may not be executed: chmod +x it, or write"),
        (["python3", "pp.py", *TRAIN[2:]], {}, "there is no pp.py here, in "),
        (["docker", "exec", "isaac", *TRAIN], {}, "what docker starts is no child of it, so a"),
        (["sudo", "-E", "podman", "run", "x", *TRAIN], {}, "what podman starts is no child of it"),
        (["/usr/bin/srun", *TRAIN], {}, "in its container or on its host, with its own command"),
        (["ray", "job", "submit", "--", *TRAIN], {}, "write the command behind its own --, and"),
        (["conda", "run", "-n", "rl", *TRAIN], {}, "write conda run --no-capture-output"),
        (["poetry", "run", *TRAIN], {}, "each trial has one of its own: write poetry -P /"),
        (TRAIN, {"preset": "clean"}, "--preset is one of auto, cleanrl,"),
        (TRAIN, {"rate": "fps ("}, "is no regular expression"),
        (TRAIN, {"rate": "fps"}, "needs a group around the number"),
        (TRAIN, {"line": "fps"}, "--line needs --steps"),
        (
            TRAIN,
            {"line": "fps", "steps": "n_envs * 8"},
            "names n_envs; the axes are num_envs, num_steps.",
        ),
        (TRAIN, {"line": "fps", "steps": "1e999"}, "--steps '1e999' must be positive, got inf"),
        (TRAIN, {"line": "fps", "steps": "import os"}, "is no expression over axes"),
        (TRAIN, {"rate": "(.)", "count": "(.)"}, "one way to read the speed is enough"),
        (TRAIN, {"rate": "(.)", "steps": "8"}, "--rate reads steps per second themselves"),
        (TRAIN, {"rate": "(.)", "preset": "sb3"}, "one way to read the speed is enough"),
        (TRAIN, {"by_clock": True, "preset": "sb3"}, "--by-clock is about the lines of --count"),
        (TRAIN, {"env": ("A",)}, "--env takes name=value"),
        (TRAIN, {"returns": "(.)"}, "--return is for --objective learning: give both, or none"),
        (TRAIN, {"per_episode": True}, "--per-episode is about the lines of --return"),
        (TRAIN, {"oom": "no ("}, "--oom 'no (' is no regular expression"),
        (TRAIN, {"oom": ""}, "--oom '' matches an empty line"),
        (TRAIN, {"oom": ".*"}, "--oom '.*' matches an empty line"),
        (TRAIN, {"env": ("A=1", "A=2")}, "--env gives A twice"),
        (
            TRAIN,
            {"space": (*SPACE, "env.A=1,2"), "env": ("A=3",)},
            "--env A would undo the axis env.A of --space: leave one out",
        ),
        (TRAIN, {"require": ("num_envs > 99",)}, "no configuration of this space meets --require"),
        (TRAIN, {"space": ("num_envs=0:4", "num_steps=1")}, "is not an axis"),
        (
            ["python3", "ppo.py", "{n} {num_envs}"],
            {"space": ("n=4", "num_envs=4"), "preset": "cleanrl"},
            "counts num_envs * num_steps agent steps for each line, and num_steps is no axis: give",
        ),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_runs(
    arguments: list[str], options: dict[str, object], words: str
) -> None:
    assert words in refused(arguments, **options)


@pytest.mark.parametrize(
    ("words", "is_told"),
    [
        (["--space", "n=4", "--check", "python", "ppo.py", "{n}"], True),
        (["--space", "n=4", "python", "ppo.py", "--num-envs", "{n}"], True),
        (["--spase", "n=4", "--", "python", "ppo.py", "{n}"], False),
    ],
)
def test_who_forgets_the_dashes_is_told(
    words: list[str],
    is_told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["tune.command", *words])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert ("error: write the training command behind --" in capsys.readouterr().err) == is_told


SEEDED = [*TRAIN, "--seed", "{seed}"]


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (TRAIN, {}, "the command has no {seed}, so that all would be one: write {seed} where"),
        ([*TRAIN, "{num_envs + 1}"], {}, "the command has no {seed}"),
        (
            SEEDED,
            {"preset": "skrl"},
            "no line of the preset skrl is known to have it: give --return",
        ),
        (
            SEEDED,
            {"count": "n (.)"},
            "the speed alone is read by --count: give --return, a regular",
        ),
        (SEEDED, {"returns": "x ("}, "--return 'x (' is no regular expression"),
        (SEEDED, {"returns": "x"}, "--return 'x' needs a group around the number, as in 'return: "),
        (SEEDED, {"per_episode": True}, "--per-episode is about the lines of --return"),
    ],
)
def test_learning_needs_a_return_and_a_seed(
    arguments: list[str], options: dict[str, object], words: str
) -> None:
    assert words in refused(arguments, objective=Objective.LEARNING, **options)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (SEEDED, {}),
        ([*TRAIN, "--seed={seed + 100 * num_envs}"], {}),
        (TRAIN, {"env": ("SEED={seed}",)}),
        (TRAIN, {"learn_seeds": 1}),
    ],
)
def test_a_seed_may_stand_anywhere(arguments: list[str], options: dict[str, object]) -> None:
    spec = CommandSpec(space=SPACE, objective=Objective.LEARNING, **options)  # type: ignore[arg-type]
    assert options_of(spec, arguments, space_of(spec, arguments)).readings


def test_each_training_fills_in_a_seed_of_its_own() -> None:
    spec = CommandSpec(space=SPACE, objective=Objective.LEARNING, seed=9)
    space = space_of(spec, SEEDED)
    task = task_of(options_of(spec, SEEDED, space), run_options_of(spec))
    options = revive(CommandOptions, task.training_options(2))
    config = next(space.configurations())
    assert filled_in(config, options, Path("x"), {})[0][-2:] == ["--seed", "2"]


def test_the_return_is_read_as_the_preset_or_the_person_says() -> None:
    def returns_of(**options: object) -> set[object]:
        spec = CommandSpec(space=SPACE, **options)  # type: ignore[arg-type]
        readings = options_of(spec, SEEDED, space_of(spec, SEEDED)).readings
        return {reading.returns for reading in readings}

    learning = {"objective": Objective.LEARNING}
    [cleanrl] = returns_of(preset="cleanrl", **learning)
    assert isinstance(cleanrl, ReturnLines)
    assert cleanrl.per_episode
    assert cleanrl in returns_of(**learning)
    own = ReturnLines(pattern="r=(.*)", per_episode=True)
    given = {"returns": "r=(.*)", "per_episode": True, **learning}
    assert returns_of(**given) == {own}
    assert returns_of(count="n=(.*)", **given) == {own}
    assert returns_of() == {None}, "what is not asked for is no part of a search's identity"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "cleanrl"], "(?P<mean>\\S+))' as a mean over 20 episodes."),
        (["--return", r"r=(\S+)"], "Its return is read from 'r=(\\S+)'."),
        ([], "as that preset prints it; known of cleanrl, leanrl, leanrl-replay, sb3, "),
    ],
)
def test_a_dry_run_says_where_the_return_is_read(
    options: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    learning = ["--objective", "learning", *options]
    monkeypatch.setattr(
        sys, "argv", ["-m", "--dry-run", *learning, "--space", *SPACE, "--", *SEEDED]
    )
    monkeypatch.setattr(ray_env, "exec_into", lambda variables: None)
    assert command.main() == 0
    assert words in capsys.readouterr().out


def test_a_search_for_learning_without_a_return_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    learning = ["--objective", "learning", "--preset", "rl_games"]
    monkeypatch.setattr(sys, "argv", ["-m", *learning, "--space", *SPACE, "--", *SEEDED])
    monkeypatch.setattr(ray_env, "exec_into", lambda variables: None)
    assert command.main() == 2
    assert "give --return" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "is_probed"),
    [({}, True), ({"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}", "RAY_ADDRESS": "10.0.0.1:6379"}, False)],
    ids=["here", "a Ray job"],
)
def test_a_command_is_probed_on_the_machine_that_is_searched(
    environ: dict[str, str], is_probed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    probed = []
    tried = TriedOut(config={}, outcome=outcome(), measurement=measurement(), log="")

    def note(*of: object) -> Probed:
        probed.append(of)
        return Probed(tried=tried, sentences=("It runs.",), options={}, doubts=("Is it?",))

    monkeypatch.setattr(probe, "probe", note)
    tasks: list[Task] = []

    def run(spec: CommandSpec, task: Task, space_for: object) -> int:
        tasks.append(task)
        return 0

    monkeypatch.setattr(session, "run", run)
    assert command.run(CommandSpec(space=SPACE), TRAIN) == 0
    assert bool(probed) == is_probed
    assert tasks[0].doubts == (("Is it?",) if is_probed else ())


def test_a_dry_run_shows_commands_ready_for_a_shell() -> None:
    arguments = [*TRAIN, "{num_envs * num_steps // 4}", '{"a": 1}', "--vec", "{vec}"]
    spec = CommandSpec(
        space=(*SPACE, "vec=dummy", "env.OMP_NUM_THREADS=2"),
        env=("LOGS={trial_dir}",),
        preset="cleanrl",
    )
    space = space_of(spec, arguments)
    count, _, first, *rest = dry_run(space, options_of(spec, arguments, space))
    assert count.startswith("6 configurations: num_envs 4..16; num_steps 64,128; vec dummy")
    assert shlex.split(first) == [
        "OMP_NUM_THREADS=2",
        "LOGS=TRIAL_DIR",
        *["python3", "ppo.py", "--num-envs", "4", "--num-steps", "64", "64"],
        '{"a": 1}',
        "--vec",
        "dummy",
    ]
    assert rest[-1] == (
        r"Its speed is read from cleanrl: '^(?:SPS: \d+$|\d+ SPS=\s*\d+ return=)': a line per "
        "num_envs * num_steps agent steps, timed."
    )


@pytest.mark.parametrize("option", ["count", "scalar"])
def test_a_dry_run_says_that_steps_multiply_what_is_read(option: str) -> None:
    spec = CommandSpec(space=SPACE, steps="512", **{option: r"Epoch +(\d+)"})
    space = space_of(spec, TRAIN)
    said = dry_run(space, options_of(spec, TRAIN, space))[-1]
    assert "(the number x 512)" in said


@pytest.mark.parametrize("steps", [None, "num_envs * 128"])
def test_a_dry_run_names_the_presets_whose_steps_no_axis_tells(steps: str | None) -> None:
    spec = CommandSpec(space=SPACE[:1], steps=steps)
    space = space_of(spec, TRAIN[:4])
    said = dry_run(space, options_of(spec, TRAIN[:4], space))[-1]
    assert ("cleanrl, leanrl, openrlhf would need --steps, the steps" in said) == (steps is None)
    assert ("of cleanrl, leanrl, leanrl-replay, sb3" in said) == (steps is not None)


def test_a_dry_run_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["-m", "--dry-run", "--space", *SPACE, "--", *TRAIN])
    monkeypatch.setattr(ray_env, "exec_into", lambda variables: None)
    assert command.main() == 0
    assert "read by the first preset that matches a line, of cleanrl, " in capsys.readouterr().out


def test_a_task_carries_the_command_its_readings_and_its_source() -> None:
    arguments = [*TRAIN, "--config", "conf.yaml"]
    spec = CommandSpec(space=SPACE, count=r"frames (\d+)", unit="frame", seed=4)
    task = task_of(options_of(spec, arguments, space_of(spec, arguments)), run_options_of(spec))
    assert (task.name, task.mode, task.workload, task.framework) == ("ppo", "ppo", FACTORY, "any")
    assert task.options["arguments"] == arguments
    assert task.options["seed"] == 4
    [reading] = task.options["readings"]
    assert (reading["kind"], reading["unit"]) == (ReadingKind.COUNT, "frame")
    assert set(task.source) == {"ppo.py", "helper.py", "conf.yaml"}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["python3", "some/dir/My_Train.py", "-x"], "my-train"),
        (["python3", "-m", "rl_zoo3.train", "--algo", "ppo"], "rl-zoo3-train"),
        (["./run.sh"], "run"),
        (["torchrun", "--nproc=1"], "torchrun"),
        (["/usr/bin/env"], "env"),
    ],
)
def test_folders_and_profiles_are_named_by_the_script(arguments: list[str], name: str) -> None:
    spec = CommandSpec(space=("n=1",), preset="sb3")
    options = options_of(spec, arguments, SearchSpace(axes=()).override(spec.space))
    assert task_of(options, {}).name == name


def test_what_no_measurement_depends_on_may_change_in_a_resume() -> None:
    tasks = []
    for changes in ({}, {"trial_timeout": "5m", "keep_outputs": True}):
        spec = CommandSpec(space=SPACE, preset="cleanrl", **changes)  # type: ignore[arg-type]
        options = options_of(spec, TRAIN, space_of(spec, TRAIN))
        tasks.append(task_of(options, run_options_of(spec)))
    assert tasks[0].options == tasks[1].options
    assert tasks[1].run_options == {"keep_outputs": True, "patience_s": 295.0}


def test_only_the_first_dashes_part_options_from_the_command() -> None:
    assert split_at_dashes(["--a", "1", "--", "x", "--", "y"]) == (["--a", "1"], ["x", "--", "y"])
    assert split_at_dashes(["--help"]) == (["--help"], [])
