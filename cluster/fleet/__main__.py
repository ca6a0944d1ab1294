"""From a laptop to rented GPUs: python -m cluster.fleet up|submit|watch|status|pull|report|down"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import tyro

from cluster.fleet import commands
from cluster.fleet.hosts import FleetError
from cluster.node.stdout import until_unread

USER_ERROR = 2
INTERRUPTED = 130

_COMMANDS: dict[str, Callable[..., Any]] = {
    "up": commands.Up,
    "submit": commands.Submit,
    "watch": commands.Watch,
    "status": commands.Status,
    "pull": commands.Pull,
    "report": commands.Report,
    "down": commands.Down,
}


@until_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    words: list[str] = []
    if "--" in given:
        words = given[given.index("--") + 1 :]
        given = given[: given.index("--")]
    command = tyro.extras.subcommand_cli_from_dict(
        _COMMANDS,
        args=given,
        prog="python -m cluster.fleet",
        description=__doc__,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        if isinstance(command, commands.Submit):
            return command.run(words)
        if words:
            raise FleetError("only submit takes a command behind --.")
        return int(command.run())
    except FleetError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted here; jobs on the boxes go on, and so does their rent.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
