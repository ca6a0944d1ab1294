"""The child's end of the wire: one request from stdin, bound to its CPUs, its messages up a pipe.

    python -m trainables.trial --wire-fd 3 --parent-pid 100 --spawned-at 12.5 < request.json

Stdlib only.
"""

import argparse
import contextlib
import ctypes
import errno
import faulthandler
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from cluster.node.processes import adopt_orphans
from cluster.structure import revive
from trainables.measurement import CompileRequest, Message, Report, TrialRequest, encode

Send = Callable[[Message], None]
Request = TypeVar("Request", TrialRequest, CompileRequest)

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)  # a child that was just forked should not load it


def serve(
    request_type: type[Request], run: Callable[[Request, Send, float], Report], *, prog: str
) -> int:
    """Serve as a child: read one request from stdin, bind to its CPUs, run it, report up the wire.

    `run(request, send, spawned_at)` may import what it likes: the caps hold by then.
    """
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("--wire-fd", type=int, required=True, help="where messages are written")
    parser.add_argument("--parent-pid", type=int, required=True)
    parser.add_argument("--spawned-at", type=float, required=True, help="on the monotonic clock")
    args = parser.parse_args()
    del sys.argv[1:]  # a workload that parses its own arguments must not see these
    die_with_parent(args.parent_pid)
    with contextlib.suppress(OSError):  # a sandbox may not have it
        adopt_orphans()
    forbid_core_dump()
    faulthandler.enable()  # a segmentation fault in a library then names the Python line
    os.set_inheritable(args.wire_fd, False)  # or a stray grandchild could hold the wire open
    request = revive(request_type, json.load(sys.stdin))
    bind_to(request.cpus)
    with os.fdopen(args.wire_fd, "w", encoding="utf-8") as wire:

        def send(message: Message) -> None:
            wire.write(encode(message))
            wire.flush()

        send(run(request, send, args.spawned_at))
    return 0


def bind_to(cpus: Iterable[int]) -> None:
    """Bind this process to CPUs; where the kernel refuses (seccomp), variables alone cap it."""
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise
        print(f"sched_setaffinity: {error.strerror}; trained unbound.", file=sys.stderr)


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when the thread that spawned it ends."""
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:  # it died before we could ask
        sys.exit(f"the parent {parent_pid} is gone.")


def forbid_core_dump() -> None:
    """Disable core dumps. Trials often abort at a limit, and the dumps would fill a rented disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
