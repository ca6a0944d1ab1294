"""Find the fastest safe configuration of any training command: python -m tune.command

    python -m tune.command --space num_envs=4:64 num_steps=64,128 -- \\
        python ppo.py --num-envs {num_envs} --num-steps {num_steps} --total-timesteps 1000000000
"""

import dataclasses
import functools
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from cluster import cli
from cluster.errors import UserError
from cluster.node import nvml
from cluster.structure import destructure
from search_spaces.config import VARIABLE
from search_spaces.space import SearchSpace
from trainables.command import presets, template
from trainables.command.options import FACTORY, CommandOptions, patience_within
from trainables.command.readings import Reading, ReadingKind
from trainables.workload_source import source_of
from tune.command import returns, view
from tune.command.launchers import require_own_child
from tune.parse import parse_assignments, parse_config, slug
from tune.search.effort import EffortPlan
from tune.spec import SearchSpec, Task, cluster_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandSpec(SearchSpec):
    """Find the fastest safe configuration of a training command, and prove it.

    The command stands behind --, as a list of arguments; no shell reads it. Braces that name an
    axis of --space, or an expression over axes, are filled in; {trial_dir}, {seed} and {gpu} too.
    Give it a huge total of steps: it is ended as soon as enough was seen.
    """

    NORMAL: ClassVar[EffortPlan] = EffortPlan(soak_updates=50)

    preset: str = presets.AUTO
    """How the script says its speed: cleanrl, sb3, rsl_rl, ... auto: the first that matches."""
    rate: str | None = None
    """Instead: a regular expression whose group is steps per second since the last such line."""
    count: str | None = None
    """Instead: one whose group is the steps so far; they are timed."""
    line: str | None = None
    """Instead: one for the line of an update of --steps; they are timed."""
    seconds: str | None = None
    """Instead: one whose group is the seconds of an update of --steps."""
    scalar: str | None = None
    """Instead: the tag of a TensorBoard scalar, whose steps are timed by its own clock."""
    steps: str | None = None
    """Steps of one update, of one count, or of one step of the scalar: 'num_envs * num_steps'."""
    by_clock: bool = False
    """With --count: the lines come every few seconds, or within updates, as a bar of steps moves,
    and not when an update ends."""
    unit: str = "env step"
    """The name of what is counted, unless a preset says it."""
    returns: Annotated[str | None, tyro.conf.arg(name="return")] = None
    """With --objective learning: a regular expression whose group is the mean return, unless a
    preset knows it."""
    per_episode: bool = False
    """With --return: each line has the return of one episode, so the last 20 are averaged."""
    oom: str | None = None
    """A regular expression for the script's own words when the GPU's memory is used up."""
    env: tuple[str, ...] = ()
    """Variables of the command: NAME=value; braces are filled in here, too."""
    keep_outputs: bool = False
    """Keep the trials' own folders, with what the command wrote there."""
    soak_updates: int | None = None
    """Readings (12, 50, 100) the winner must survive in one process; 0 leaves the soak out."""
    dry_run: bool = False
    """Print the first commands and run nothing."""


_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_BEHIND_DASHES = (
    "write the training command behind --, as in: python -m tune.command --space num_envs=4:64 -- "
    "python ppo.py --num-envs {num_envs}"
)


def run(spec: CommandSpec, arguments: Sequence[str]) -> int:
    """Run one search of the command `arguments`; return its exit code."""
    space = space_of(spec, arguments)
    options = options_of(spec, arguments, space)
    if spec.dry_run:
        for line in view.dry_run(space, options):
            print(line)
        return 0
    task = task_of(options, run_options_of(spec))
    # Lazy, so that --help does not wait for SciPy and Optuna.
    from tune import session
    from tune.command import probe
    from tune.screen.screen import Screen

    # Resumed, too: what it settles is a search's identity.
    if spec.check or cluster_of(spec, os.environ) is None:
        probed = probe.probe(spec, task, space, parse_config("--baseline", spec.baseline))
        if spec.check:
            Screen(as_json=spec.json).checked(probed.tried, probed.sentences)
            return 0
        told = "\n".join([probed.sentences[0], *probed.of_return, *probed.doubts])
        print(f"{told}\n", file=sys.stderr if spec.json else sys.stdout, flush=True)
        settled = task.options | probed.options
        task = dataclasses.replace(
            task, options=settled, doubts=probed.doubts, more_threads=probed.more_threads
        )
    return session.run(spec, task, lambda platform, num_cpus: (SearchSpace(axes=()), {}))


def space_of(spec: CommandSpec, arguments: Sequence[str]) -> SearchSpace:
    """Return the space of `spec`, once its axes are known to be used by the command.

    Raises:
        UserError: if there is no command, no space, or one does not fit the other.
    """
    if not arguments:
        raise UserError(_BEHIND_DASHES)
    if not spec.space:
        raise UserError("--space names what varies: --space num_envs=4:64 num_steps=64,128.")
    space = SearchSpace(axes=()).override(spec.space, spec.require)
    variables = parse_assignments("--env", spec.env)
    template.check([*arguments, *variables.values()], space.names)
    if both := [name for name in variables if VARIABLE + name in space.names]:
        raise UserError(
            f"--env {both[0]} would undo the axis {VARIABLE}{both[0]} of --space: leave one out."
        )
    _leave_gpu([*arguments, *(f"{name}=" for name in variables)])
    require_own_child(arguments, Path.cwd())
    _require_program(arguments)
    return space


def options_of(spec: CommandSpec, arguments: Sequence[str], space: SearchSpace) -> CommandOptions:
    """Return what the command's trials share.

    Raises:
        UserError: if an option cannot be followed.
    """
    variables = parse_assignments("--env", spec.env)
    readings = _with_returns(_readings(spec, space), spec)
    if spec.learning is not None and spec.learning.num_seeds > 1:
        returns.require_seed([*arguments, *variables.values()], space.names)
    config = next(space.configurations())
    for reading in readings:
        reading.compiled()
        reading.steps_for(config)
    return CommandOptions(
        arguments=tuple(arguments),
        readings=tuple(readings),
        variables=variables,
        seed=spec.seed,
        oom=_oom_pattern(spec.oom),
    )


def run_options_of(spec: CommandSpec) -> dict[str, Any]:
    """Return the options on which no measurement depends, so that they may change in a resume."""
    return {
        "keep_outputs": spec.keep_outputs,
        "patience_s": patience_within(spec.trial_timeout_s),
    }


def task_of(options: CommandOptions, run_options: Mapping[str, Any]) -> Task:
    """Return the task of a command."""
    name = _name(options.arguments)
    return Task(
        name=name,
        mode=name,
        phase=None,
        workload=FACTORY,
        options={
            name: value for name, value in destructure(options).items() if name not in run_options
        },
        run_options=dict(run_options),
        data={},
        framework="any",
        source=source_of(FACTORY, {"arguments": options.arguments}),
    )


def _readings(spec: CommandSpec, space: SearchSpace) -> list[Reading]:
    own = {kind: getattr(spec, kind.value) for kind in ReadingKind}
    given = {kind: pattern for kind, pattern in own.items() if pattern is not None}
    if spec.by_clock and ReadingKind.COUNT not in given:
        raise UserError("--by-clock is about the lines of --count: give both, or none.")
    if not given:
        return presets.readings_of(spec.preset, space.names, steps=spec.steps)
    if len(given) > 1 or spec.preset != presets.AUTO:
        raise UserError(
            "one way to read the speed is enough: give --preset, --rate, --count, --line, "
            "--seconds or --scalar."
        )
    [(kind, pattern)] = given.items()
    if kind is ReadingKind.RATE and spec.steps is not None:
        raise UserError("--rate reads steps per second themselves: leave --steps out.")
    return [
        Reading(
            kind=kind,
            pattern=pattern,
            steps=spec.steps,
            unit=spec.unit,
            by_clock=spec.by_clock,
        )
    ]


def _with_returns(readings: list[Reading], spec: CommandSpec) -> list[Reading]:
    """Return the readings with the returns by which learning is judged; without, if it is not."""
    if spec.per_episode and spec.returns is None:
        raise UserError("--per-episode is about the lines of --return: give both, or none.")
    if spec.learning is not None:
        return returns.of_learning(readings, spec.returns, per_episode=spec.per_episode)
    if spec.returns is not None:
        raise UserError("--return is for --objective learning: give both, or none.")
    return [dataclasses.replace(reading, returns=None) for reading in readings]


def _oom_pattern(text: str | None) -> str | None:
    try:
        pattern = re.compile(text or "")
    except re.error as error:
        raise UserError(f"--oom {text!r} is no regular expression: {error}.") from error
    if text is not None and pattern.search(""):
        raise UserError(f"--oom {text!r} matches an empty line: give words of the script's own.")
    return text


def _leave_gpu(words: Sequence[str]) -> None:
    """Leave each trial the GPU that the search gives it: several run side by side."""
    if any(f"{nvml.VISIBLE}=" in word for word in words):
        raise UserError(
            f"{nvml.VISIBLE} is set by the search, for each trial: set it before "
            "python -m tune.command, for all of them, and leave it out of the command."
        )


def _require_program(arguments: Sequence[str]) -> None:
    program = arguments[0]
    if _ASSIGNMENT.match(program):
        raise UserError(f"a variable of the command goes before its dashes: --env {program}.")
    if shutil.which(program) is None:
        if "/" in program and Path(program).is_file():
            raise UserError(
                f"{program} may not be executed: chmod +x it, or write its interpreter before it."
            )
        raise UserError(f"there is no program {program!r}: write what you type in a shell.")
    script = next((word for word in arguments[1:] if not word.startswith("-")), None)
    is_python = Path(program).name.startswith("python") and "-m" not in arguments[1:3]
    if is_python and script is not None and script.endswith(".py") and not Path(script).exists():
        raise UserError(f"there is no {script} here, in {Path.cwd()}: go to its folder.")


def _name(arguments: Sequence[str]) -> str:
    """Return a name for folders and profiles: of the script or module, else of the program."""
    words = list(arguments)
    script = next((word for word in words if word.endswith((".py", ".sh"))), None)
    if script is None and "-m" in words[:-1]:
        script = words[words.index("-m") + 1]
    stem = Path(script or words[0]).name.removesuffix(".py").removesuffix(".sh")
    return slug(stem.lower().replace("_", "-")) or "command"


def main() -> int:
    """Run the command line."""
    before, behind = split_at_dashes(sys.argv[1:])
    try:
        return cli.main(
            CommandSpec,
            functools.partial(run, arguments=behind),
            prog="python -m tune.command",
            arguments=before,
        )
    except SystemExit as ended:
        if ended.code and not behind:  # the command was taken for options
            print(f"error: {_BEHIND_DASHES}", file=sys.stderr)
        raise


def split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options before the first --, and the command behind it."""
    words = list(arguments)
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]


if __name__ == "__main__":
    sys.exit(main())
