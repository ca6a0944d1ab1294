"""The commands on profiles: python -m tune.profile show|list|env|validate"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from cluster.node.stdout import until_unread

INTERRUPTED = 130
USER_ERROR = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show:
    """What a profile promises, on what grounds, and how this machine differs from its own."""

    file: tyro.conf.Positional[Path]


@dataclasses.dataclass(frozen=True, kw_only=True)
class List:
    """The profiles in a folder."""

    folder: tyro.conf.Positional[Path] = Path("profiles")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Env:
    """The caps as export lines: eval "$(python -m tune.profile env FILE)" before training."""

    file: tyro.conf.Positional[Path]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validate:
    """Measure the profile's configuration here, in a fresh process, and compare.

    Exit code 0: within 10 %; 1: outside, or it hits a limit here; 2: it could not be measured.
    """

    file: tyro.conf.Positional[Path]
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """auto takes the profile's own."""
    option: tuple[str, ...] = ()
    """Options of the workload that differ here: data=/elsewhere/bars.csv."""
    timeout: str = "10m"
    """After this a process is killed, with all its children."""


Command = (
    Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Env, tyro.conf.subcommand("env")]
    | Annotated[Validate, tyro.conf.subcommand("validate")]
)


@until_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    command: Show | List | Env | Validate = tyro.cli(
        Command,
        args=arguments,
        prog="python -m tune.profile",
        description="Read, list, export and check profiles.",
    )
    from tune.spec import SpecError

    try:
        return _run(command)
    except SpecError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(command, Env):
            print("false")  # or `eval "$(...)" && train` would train without the caps
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return INTERRUPTED


def _run(command: Show | List | Env | Validate) -> int:
    match command:
        case Show():
            return _show(command)
        case List():
            return _list(command)
        case Env():
            return _env(command)
        case Validate():
            return _validate(command)


def _show(command: Show) -> int:
    from cluster.node import hardware
    from tune.profile import file as profiles
    from tune.profile import view as profile_view

    profile = profiles.read(command.file)
    rows = profile_view.sections(profile, profiles.matches(profile, hardware.probe()))
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(profile_view.render(rows))
        return 0
    for heading, lines in rows.items():
        print(heading)
        for label, text in lines:
            print(f"  {label}: {text}")
    return 0


def _list(command: List) -> int:
    """List what can be read; a file that cannot is named, and is exit 2."""
    from tune.profile import file as profiles
    from tune.profile import view as profile_view

    if not command.folder.is_dir():
        raise profiles.ProfileError(
            f"{command.folder} is no folder. A search writes profiles: python -m tune.jax_phase12"
        )
    rows: list[tuple[str, ...]] = [("file", "configuration", "env steps/s", "state")]
    errors: list[str] = []
    for path in sorted(command.folder.glob("*.yaml")):
        try:
            rows.append(profile_view.list_row(path, profiles.read(path)))
        except profiles.ProfileError as error:
            errors.append(str(error))
    if len(rows) > 1:
        _print_table(rows)
    elif not errors:
        print(f"No profiles in {command.folder} yet. A search writes them.")
    for text in errors:
        print(f"error: {text}", file=sys.stderr)
    return USER_ERROR if errors else 0


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _env(command: Env) -> int:
    from cluster.node import hardware, limits
    from tune.profile import file as profiles
    from tune.profile import view as profile_view

    profile = profiles.read(command.file)
    for line in profile_view.exports(profile, limits.cpus().allowed):
        print(line)
    for difference in profiles.matches(profile, hardware.probe()):
        print(f"warning: this machine is another: {difference}", file=sys.stderr)
    return 0


def _validate(command: Validate) -> int:
    from cluster.node import hardware
    from tune.profile import file as profiles
    from tune.profile import validate as validation
    from tune.spec import parse_assignments, parse_duration

    profile = profiles.read(command.file)
    options = parse_assignments("--option", command.option)
    timeout_s = parse_duration("--timeout", command.timeout)
    machine = hardware.probe()
    platform = validation.platform_for(
        profile, command.device, len(hardware.visible_gpus(len(machine.gpus), os.environ))
    )
    for difference in profiles.matches(profile, machine):
        print(f"warning: this machine is another: {difference}", file=sys.stderr)
    print("One fresh process decides; if it is not within 10 %, the median of three.", flush=True)
    measure = validation.measurer(profile, platform=platform, options=options, timeout_s=timeout_s)
    return validation.validate(profile, measure, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
