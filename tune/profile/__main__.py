"""The commands on profiles: python -m tune.profile show|list|env|command|validate"""

import dataclasses
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from cluster import cli
from cluster.errors import UserError
from cluster.node import gpus, hardware, limits
from cluster.node.arguments import gathered
from cluster.node.nvml import DriverError
from cluster.pages import terminal
from tune.parse import parse_duration, parse_options
from tune.profile import file as profile_file
from tune.profile import measuring, validate, view
from tune.profile.file import ProfileError
from tune.profile.gpus import gpus_for
from tune.profile.schema import Profile
from tune.spec import PROFILES


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowProfile:
    """Show what a profile promises, on what grounds, and how this machine differs from its own."""

    file: tyro.conf.Positional[Path]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListProfiles:
    """List the profiles in a folder."""

    folder: tyro.conf.Positional[Path] = PROFILES


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportCaps:
    """Print the caps as export lines: eval "$(python -m tune.profile env FILE)" before training."""

    file: tyro.conf.Positional[Path]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCommand:
    """Print the finished training command, ready to paste, and what a run of it takes."""

    file: tyro.conf.Positional[Path]
    steps: float | None = None
    """Steps of a whole run, as 1e9: says how long it takes."""
    price: float | None = None
    """Dollars per hour of this machine: says what it costs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidateProfile:
    """Measure the profile's configuration here, in a fresh process, and compare.

    Exit code 0: at most 10 % slower; 1: slower, or at a limit here; 2: it could not be measured;
    3: cannot tell now, because other programs use the machine.
    """

    file: tyro.conf.Positional[Path]
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """auto takes the profile's own."""
    option: tuple[str, ...] = ()
    """Options of the workload that differ here: data=/elsewhere/bars.csv."""
    timeout: str = "10m"
    """After this a process is killed, with all its children."""


ProfileCommand = (
    Annotated[ShowProfile, tyro.conf.subcommand("show")]
    | Annotated[ListProfiles, tyro.conf.subcommand("list")]
    | Annotated[ExportCaps, tyro.conf.subcommand("env")]
    | Annotated[TrainingCommand, tyro.conf.subcommand("command")]
    | Annotated[ValidateProfile, tyro.conf.subcommand("validate")]
)


_FAIL_IN_SHELL = "false"
"""What is printed without a profile: `eval "$(...)" && train` must not train without caps."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return cli.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        command: ShowProfile | ListProfiles | ExportCaps | TrainingCommand | ValidateProfile = (
            tyro.cli(
                ProfileCommand,
                args=gathered(given, cli.list_options(ValidateProfile)),
                prog="python -m tune.profile",
                description="Read, list, export and check profiles.",
            )
        )
    except SystemExit as ended:
        if ended.code and given[:1] == ["env"]:
            print(_FAIL_IN_SHELL)
        raise
    match command:
        case ShowProfile():
            return _show(command)
        case ListProfiles():
            return _list(command)
        case ExportCaps():
            return _env(command)
        case TrainingCommand():
            return _command(command)
        case ValidateProfile():
            return _validate(command)


def _show(command: ShowProfile) -> int:
    profile = profile_file.read(command.file)
    sections = view.sections(profile, _differences(profile))
    terminal.show(sections, title="profile", styles=view.STYLES)
    return 0


def _list(command: ListProfiles) -> int:
    """List the readable profiles; name the other files, and return exit code 2 if there are any."""
    if not command.folder.is_dir():
        raise ProfileError(
            f"{command.folder} is no folder. A search writes profiles: python -m tune.jax_phase12"
        )
    rows: list[tuple[str, ...]] = [("file", "configuration", "speed", "state")]
    errors: list[str] = []
    for path in sorted(command.folder.glob("*.yaml")):
        try:
            rows.append(view.list_row(path, profile_file.read(path)))
        except ProfileError as error:
            errors.append(str(error))
    if len(rows) > 1:
        print("\n".join(terminal.aligned(rows)))
    elif not errors:
        print(f"No profiles in {command.folder} yet. A search writes them.")
    for text in errors:
        print(f"error: {text}", file=sys.stderr)
    return cli.USER_ERROR if errors else 0


def _env(command: ExportCaps) -> int:
    try:
        profile = profile_file.read(command.file)
    except ProfileError:
        print(_FAIL_IN_SHELL)
        raise
    print("\n".join(view.exports(profile, limits.cpus().allowed)))
    _warn(profile)
    return 0


def _command(command: TrainingCommand) -> int:
    profile = profile_file.read(command.file)
    for name in ("steps", "price"):
        value = getattr(command, name)
        if value is not None and not 0.0 < value < math.inf:
            raise UserError(f"--{name} must be positive, got {value}.")
    if command.price is not None and command.steps is None:
        raise UserError("--price needs --steps: the steps of a whole run.")
    print(view.training_command(profile, limits.cpus().allowed))
    if command.steps is not None:
        print(f"# {view.cost(profile, command.steps, command.price)}")
    _warn(profile)
    return 0


def _validate(command: ValidateProfile) -> int:
    profile = profile_file.read(command.file)
    options = parse_options("--option", command.option)
    timeout_s = parse_duration("--timeout", command.timeout)
    wants_gpu = measuring.platform_for(profile, command.device, 1) == "cuda"
    visible = gpus.visible_gpus(os.environ).gpus if wants_gpu else ()
    platform = measuring.platform_for(profile, command.device, len(visible))
    chosen = gpus_for(profile, visible) if platform == "cuda" else None
    _warn(profile)
    for name in validate.edited_files(profile):
        print(f"warning: {name} was edited since this profile was measured.", file=sys.stderr)
    print("One fresh process decides; if it is not within 10 %, the median of three.", flush=True)
    with measuring.measuring(
        profile, platform=platform, options=options, timeout_s=timeout_s, gpus=chosen
    ) as measure:
        code = validate.validate(profile, measure, lambda line: print(line, flush=True))
    if code != validate.DOES_NOT_HOLD or chosen is None or not chosen.held:
        return code
    print(
        f"Another program holds memory of GPU {', '.join(chosen.held)}, and none of its kind is "
        "free, so nothing can be told now: end it, or try again later. The profile may hold."
    )
    return validate.CANNOT_TELL_NOW


def _warn(profile: Profile) -> None:
    for difference in _differences(profile):
        print(f"warning: this machine is another: {difference}", file=sys.stderr)


def _differences(profile: Profile) -> list[str]:
    """Say how this machine differs, as far as its driver answers: a profile can be read anyway.

    A difference is a warning and no refusal: a newer driver seldom changes what fits.
    """
    try:
        return hardware.differences(profile.machine, hardware.probe())
    except DriverError as error:
        return [str(error)]


if __name__ == "__main__":
    sys.exit(main())
