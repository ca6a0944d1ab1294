"""From a laptop to rented GPUs: python -m cluster.fleet up|submit|watch|status|pull|report|down"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from cluster import cli
from cluster.errors import FleetError
from cluster.fleet import commands, submit
from cluster.node.arguments import gathered

_COMMANDS: dict[str, Callable[..., Any]] = {
    "up": commands.UpCommand,
    "submit": commands.SubmitCommand,
    "watch": commands.WatchCommand,
    "status": commands.StatusCommand,
    "pull": commands.PullCommand,
    "report": commands.ReportCommand,
    "down": commands.DownCommand,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return cli.run(
        lambda: _run(given),
        interrupted="interrupted here, which ends no job and no rent on the boxes.",
    )


def _run(given: Sequence[str]) -> int:
    at = given.index("--") if "--" in given else len(given)
    words = given[at + 1 :]
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            _COMMANDS,
            args=gathered(given[:at], cli.list_options(*_COMMANDS.values())),
            prog="python -m cluster.fleet",
            description=__doc__,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except SystemExit as ended:
        if ended.code and given[:1] == ["submit"] and not words:  # the command, taken for options
            print(f"error: {submit.BEHIND_DASHES}", file=sys.stderr)
        raise
    if isinstance(command, commands.SubmitCommand):
        return command.run(words)
    if words:
        raise FleetError("only submit takes a command behind --.")
    return int(command.run())


if __name__ == "__main__":
    sys.exit(main())
