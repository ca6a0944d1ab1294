"""Trials that end in every way a trial can, and need no framework to do it.

python children.py NAME [ARGUMENT ...] --wire-fd=3 --parent-pid=100 --spawned-at=12.5
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPORT = '{"type": "report", "kind": "completed", "message": "measured."}\n'
PROGRESS = '{"type": "progress", "phase": "compile"}\n'
FOREVER_S = 600.0


class Wire:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())


def report(wire: Wire) -> None:
    wire.send(PROGRESS + REPORT)


def report_in_two_pieces(wire: Wire) -> None:
    wire.send(REPORT[:20])
    time.sleep(0.3)
    wire.send(REPORT[20:])


def abort_for_threads(wire: Wire) -> None:
    wire.send(PROGRESS)
    print(
        "F1123 22:02:06.574384 9915 env.cc:93] Check failed: ret == 0 (11 vs. 0) "
        "Thread tf_foreach creation via pthread_create() failed.",
        file=sys.stderr,
        flush=True,
    )
    os.abort()


def raise_out_of_memory(wire: Wire) -> None:
    raise RuntimeError(
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 68719476736 bytes."
    )


def interrupted_by_openblas(wire: Wire) -> None:
    print(
        "OpenBLAS blas_thread_init: pthread_create failed for thread 1 of 2: "
        "Resource temporarily unavailable",
        file=sys.stderr,
        flush=True,
    )
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(FOREVER_S)


def exit_in_silence(wire: Wire) -> None:
    sys.exit(0)


def kill_itself(wire: Wire) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(wire: Wire) -> None:
    wire.send(PROGRESS)
    time.sleep(FOREVER_S)


def hang_with_its_pid(wire: Wire, pid_file: str) -> None:
    write_pid(pid_file, os.getpid())
    hang(wire)


def hang_out_of_threads(wire: Wire) -> None:
    print("libgomp: Thread creation failed: Resource temporarily unavailable", file=sys.stderr)
    sys.stderr.flush()
    time.sleep(FOREVER_S)


def stop_itself(wire: Wire) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def shout(wire: Wire) -> None:
    sys.stderr.write("a line that nobody reads\n" * 42_000)  # 1 MB, and a pipe holds 64 KiB
    sys.stdout.write("and one on stdout\n" * 60_000)
    wire.send(REPORT)


def close_its_wire(wire: Wire) -> None:
    os.close(wire.fd)
    time.sleep(FOREVER_S)


def close_its_wire_out_of_memory(wire: Wire) -> None:
    print("MemoryError: Unable to allocate 3.00 GiB", file=sys.stderr, flush=True)
    close_its_wire(wire)


def close_everything(wire: Wire) -> None:
    os.closerange(0, 100)
    time.sleep(FOREVER_S)


def garbage(wire: Wire) -> None:
    wire.send("WARNING: All log messages before absl::InitializeLog() is called\n")
    time.sleep(FOREVER_S)


def line_without_end(wire: Wire) -> None:
    while True:
        wire.send("x" * 4096)


def report_then_garbage(wire: Wire) -> None:
    wire.send(REPORT + "garbage\n")


def report_then_abort(wire: Wire) -> None:
    wire.send(REPORT)
    os.abort()


def report_its_session(wire: Wire) -> None:
    leads = os.getsid(0) == os.getpgid(0) == os.getpid()
    wire.send(REPORT.replace("measured.", "leads" if leads else "does not lead"))


def report_then_clean_up(wire: Wire, done_file: str) -> None:
    wire.send(REPORT)
    time.sleep(0.3)
    Path(done_file).touch()


def report_then_hang(wire: Wire) -> None:
    wire.send(REPORT)
    time.sleep(FOREVER_S)


def hog(wire: Wire, num_bytes: str) -> None:
    held = b"\1" * int(num_bytes)
    time.sleep(FOREVER_S)
    assert held


def share(wire: Wire, num_bytes: str) -> None:
    """Hold memory once and show it four times, as forked data loaders do."""
    held = b"\1" * int(num_bytes)
    children = [os.fork() for _ in range(3)]
    if 0 in children:
        time.sleep(FOREVER_S)
    time.sleep(0.5)  # be looked at
    wire.send(REPORT)
    assert held


def threads(wire: Wire, num_threads: str) -> None:
    import threading

    for _ in range(int(num_threads)):
        threading.Thread(target=time.sleep, args=(0.9,), daemon=True).start()
    time.sleep(0.5)
    wire.send(REPORT)


def threads_while_compiling(wire: Wire, num_threads: str) -> None:
    """A pool that is gone before the last phase begins, as a compiler's is."""
    import threading

    wire.send(PROGRESS)
    pool = [threading.Thread(target=time.sleep, args=(0.9,)) for _ in range(int(num_threads))]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    while len(os.listdir("/proc/self/task")) > 1:  # joined, but not yet gone for the kernel
        time.sleep(0.01)
    wire.send(PROGRESS.replace("compile", "measure"))
    time.sleep(0.6)
    wire.send(REPORT)


def leave_grandchild(wire: Wire, how: str, pid_file: str) -> None:
    """Start a process that survives us: in our group, in its own group, or in its own session."""
    sleeper = [sys.executable, "-c", f"import time; time.sleep({FOREVER_S})"]
    grandchild = subprocess.Popen(
        sleeper,
        process_group=0 if how == "group" else None,
        start_new_session=how == "session",
    )
    write_pid(pid_file, grandchild.pid)
    if how == "session":
        time.sleep(0.3)  # be looked at: who leaves the session is known by its parent alone
    wire.send(REPORT)
    os._exit(0)  # without waiting for it


def leave_temporary_file(wire: Wire, end: str) -> None:
    """Say where it is, and end."""
    import tempfile

    print(tempfile.mkstemp()[1], flush=True)
    if end == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "hang":
        time.sleep(FOREVER_S)
    wire.send(REPORT)


def share_memory(wire: Wire, attached: str, kept: str, end: str) -> None:
    """Make a segment, say its name, map another's and a file, and end."""
    import mmap
    from multiprocessing import resource_tracker
    from multiprocessing.shared_memory import SharedMemory

    made, other = SharedMemory(create=True, size=4096), SharedMemory(attached)
    for one in (made, other):  # as if the tracker were killed, too
        resource_tracker.unregister(f"/{one.name}", "shared_memory")
    with open(kept, "w+b") as file:
        file.write(b"x" * 4096)
        file.flush()
        held = mmap.mmap(file.fileno(), 4096)
    print(made.name, flush=True)
    if end == "hang":
        time.sleep(FOREVER_S)
    wire.send(PROGRESS.replace("compile", "measure"))
    time.sleep(0.6)  # be looked at
    wire.send(REPORT)
    assert held
    os._exit(0)


def write_pid(pid_file: str, pid: int) -> None:
    path = Path(pid_file)
    path.with_suffix(".new").write_text(str(pid))
    path.with_suffix(".new").rename(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--wire-fd", type=int)
    parser.add_argument("--parent-pid", type=int)
    parser.add_argument("--spawned-at", type=float)
    args = parser.parse_args()
    child: Callable[..., None] = globals()[args.name]
    child(Wire(args.wire_fd), *args.arguments)


if __name__ == "__main__":
    main()
