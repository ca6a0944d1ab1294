"""Command lines to exit codes: a person's mistake becomes one sentence."""

import contextlib
import dataclasses
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, get_origin

import tyro

from cluster.errors import UserError
from cluster.node import ray_env, raylets
from cluster.node.arguments import gathered
from cluster.node.stdout import settle_streams, until_unread

Spec = TypeVar("Spec")

NOTHING_FOUND = 1
"""The command was right and there is no result: no profile, no room, no box."""
USER_ERROR = 2
_OF_THE_DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    *(errno.EACCES, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
}
INTERRUPTED = 130
_SOON_S = 0.05  # until Python has left what dropped it


def run(
    action: Callable[[], int], *, interrupted: str = "interrupted.", debug: bool = False
) -> int:
    """Run a command and return its exit code.

    A person's mistake (`UserError`) is printed as one sentence, exit code 2, as is a file or folder
    that cannot be written or read; with `debug` it is raised. Any other exception is a bug of ours
    and keeps its traceback. `interrupted` is printed on Ctrl-C, exit code 130.
    """
    settle_streams()
    with until_unread(), _no_interrupt_lost():
        try:
            _require_folder()
            return action()
        except UserError as error:
            if debug:
                raise
            print(f"error: {error}", file=sys.stderr)
            return USER_ERROR
        except OSError as error:
            if debug or error.errno not in _OF_THE_DISK:
                raise
            where = "" if error.filename is None else f"{error.filename}: "
            todo = "make room there, or correct the path or its rights"
            print(f"error: {where}{error.strerror}: {todo}.", file=sys.stderr)
            return USER_ERROR
        except KeyboardInterrupt:
            # An impatient person's second would end the exit itself, by a signal.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print(interrupted, file=sys.stderr)
            return INTERRUPTED


@contextlib.contextmanager
def _no_interrupt_lost() -> Iterator[None]:
    """Raise Ctrl-C again where Python drops it: in a finaliser, or in a weak reference's callback.

    It would only print "Exception ignored". A moment later, for here nothing can be raised.
    """
    before, main = sys.unraisablehook, threading.get_ident()

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            threading.Timer(_SOON_S, signal.pthread_kill, (main, signal.SIGINT)).start()
        else:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _require_folder() -> None:
    """Check that this process stands anywhere.

    Raises:
        UserError: if somebody deleted the folder where it was started.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the folder you are in was deleted: cd to another.") from error


def main(
    spec_type: type[Spec],
    search: Callable[[Spec], int],
    *,
    prog: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse `spec_type` from the command line, search by it and return the exit code."""

    given = sys.argv[1:] if arguments is None else arguments

    def parse_and_search() -> int:
        spec = tyro.cli(
            spec_type,
            args=gathered(given, list_options(spec_type)),
            prog=prog,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.EnumChoicesFromValues),
        )
        address = getattr(spec, "address", None) or raylets.job_address(os.environ)
        token = None
        if address is not None:
            token = raylets.token_variables(address, ray_env.as_given(os.environ))
        dashboard = getattr(spec, "dashboard", False)
        ray_env.exec_into(
            ray_env.environment(
                os.environ, private=address is None, dashboard=dashboard, token=token
            )
        )
        return search(spec)

    return run(
        parse_and_search,
        interrupted="interrupted; nothing was running.",
        debug="--debug" in given,
    )


def list_options(*spec_types: Any) -> set[str]:
    """Return the options of specifications that take several values."""
    return {
        f"--{field.name.replace('_', '-')}"
        for spec_type in spec_types
        for field in dataclasses.fields(spec_type)
        if get_origin(field.type) is tuple
    }
