"""From a command line to an exit code: a person's mistake becomes one sentence."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from cluster.node import ray_env
from cluster.node.stdout import until_unread
from tune.spec import SpecError

Spec = TypeVar("Spec")

NOTHING_FEASIBLE = 1
USER_ERROR = 2
INTERRUPTED = 130


@until_unread()
def main(
    spec_type: type[Spec],
    run: Callable[[Spec], int],
    *,
    prog: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse `spec_type` from the command line, run it and return the exit code.

    A person's mistake is told in one sentence (exit 2); `--debug` shows its traceback. Anything
    else is ours, and its traceback is what we need to see.
    """
    import tyro

    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        spec = tyro.cli(
            spec_type,
            args=arguments,
            prog=prog,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.EnumChoicesFromValues),
        )
        ray_env.exec_into(ray_env.environment(os.environ))
        return run(spec)
    except ValueError as error:
        if debug or not isinstance(error, _mistakes()):
            raise
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted; nothing was running.", file=sys.stderr)
        return INTERRUPTED


def _mistakes() -> tuple[type[ValueError], ...]:
    """What a person can mend. Imported when something went wrong: --help must not wait for it."""
    from search_spaces.space import SpaceError
    from trainables.workload import WorkloadInputError
    from tune.preflight.judge import NotFitError

    return (SpecError, SpaceError, NotFitError, WorkloadInputError)
