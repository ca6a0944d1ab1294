"""Start a job that outlives the connection, supervise it, and end it."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from cluster.box.folder import BoxFolder, JobFolder
from cluster.errors import BoxError
from cluster.node import deadman, lock, processes
from cluster.node.arguments import with_options
from cluster.node.atomic import read_json, write_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_START_S = 20.0
_GRACE_S = 90.0  # a search told to end finishes Ray and writes a partial profile


def start(
    box: BoxFolder,
    *,
    name: str,
    words: list[str] | None,
    resume: bool,
    split: dict[str, Any] | None = None,
    own_words: list[str] | None = None,
) -> dict[str, Any]:
    """Start `words` as the box's only job, or resume the job `name`; return once it runs.

    The job gets `--out`, `--profiles` and `--json` on top, and `--resume` if it is resumed. Kept
    for the laptop: `split`, the part that the job has of a search that boxes share, `own_words`,
    those of `words` that are the person's and not the fleet's, and an id of the search.

    Raises:
        BoxError: if the box is not set up or about to be stopped, another job runs, or there is
            nothing to resume.
    """
    if not _NAME.fullmatch(name):
        raise BoxError(f"job names are at most 80 letters, digits, - and _, got {name!r}.")
    with alone(box):
        if read_json(box.ready) is None:
            raise BoxError("is not set up: run `up` first.")
        if (other := running(box)) is not None:
            raise BoxError(f"already runs the job {other.name}: wait, or end it with `down`.")
        armed = deadman.status(box.deadman)
        if armed is not None and armed.is_stopping:
            raise BoxError(deadman.STOPPING)
        job = box.job(name)
        new = {"words": words, "own_words": own_words, "split": split, "id": secrets.token_hex(8)}
        request = read_json(job.request) or new
        if request["words"] is None:
            raise BoxError(f"has no job {name} to resume.")
        if (job.exit.exists() or job.request.exists()) and not resume:
            raise BoxError(f"has a job {name} already: resume it, or choose another --name.")
        job.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        job.exit.unlink(missing_ok=True)
        job.end_reason.unlink(missing_ok=True)
        write_json(
            job.request,
            request | {"name": name, "resume": resume, "started_at": time.time()},
        )
        _spawn_supervisor(box, job)
    return {"job": name, "words": _command(box, job)}


def supervise(box: BoxFolder, name: str) -> None:
    """Run the job to its end, kill what it leaves behind, and record its exit."""
    job = box.job(name)
    processes.adopt_orphans()
    processes.record(job.supervisor, os.getpid())
    with job.events.open("ab") as events, job.log.open("ab") as log:
        try:
            process = subprocess.Popen(
                _command(box, job),
                cwd=box.code,
                env={**os.environ, processes.MARK: job.mark},
                stdin=subprocess.DEVNULL,
                stdout=events,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            log.write(f"cannot start: {error}\n".encode())
            exit_code = 127  # as a shell says that there is no such command
        else:
            processes.record(job.process, process.pid)
            exit_code = process.wait()
    processes.kill_all(job.mark, job.supervisor)
    reason = read_json(job.end_reason) or {"reason": "ended"}
    write_json(job.exit, {**reason, "exit_code": exit_code, "ended_at": time.time()})


def stop(box: BoxFolder, *, reason: str, grace_s: float = _GRACE_S) -> str | None:
    """End the running job by SIGTERM, after `grace_s` by SIGKILL; return its name, or `None`."""
    job = running(box)
    if job is None:
        return None
    with contextlib.suppress(OSError):  # a full disk must not keep a job running
        write_json(job.end_reason, {"reason": reason})
    deadline = time.monotonic() + grace_s
    if processes.is_alive(job.process):
        with contextlib.suppress(ProcessLookupError):
            # Only the search itself: it ends its trials, and Ray, in their order.
            os.kill(read_json(job.process)["pid"], signal.SIGTERM)
    while not job.exit.exists() and time.monotonic() < deadline:
        if not is_running(job):
            break
        time.sleep(0.1)
    processes.kill_all(job.mark, job.supervisor)
    deadline = time.monotonic() + _START_S
    while is_running(job) and time.monotonic() < deadline:
        time.sleep(0.1)
    return job.name


def current(box: BoxFolder) -> JobFolder | None:
    """Return the job that runs, else the one that was started last; `None` if there is none.

    One that another box has started, and that came here to be resumed, may be the last.
    """
    return running(box) or next(iter(box.started_jobs()), None)


def running(box: BoxFolder) -> JobFolder | None:
    """Return the job that runs, `None` if none does."""
    return next(filter(is_running, box.started_jobs()), None)


def is_running(job: JobFolder) -> bool:
    """Return whether the job still runs, be it without its supervisor, which may have died."""
    if job.exit.exists():
        return False
    return processes.is_alive(job.supervisor) or bool(processes.of_job(job.mark, job.supervisor))


def _command(box: BoxFolder, job: JobFolder) -> list[str]:
    request = read_json(job.request)
    python = read_json(box.ready)["python"]
    program, *arguments = request["words"]
    if program in ("python", "python3"):
        program = python
    options = ["--out", str(job.run), "--profiles", str(job.profiles), "--json"]
    options += ["--resume"] * request["resume"]
    return [program, *with_options(arguments, options)]


def _spawn_supervisor(box: BoxFolder, job: JobFolder) -> None:
    words = ("cluster.box", "supervise")
    pid = processes.spawn(words, {"name": job.name}, cwd=box.code, log=job.log.open("ab"))
    deadline = time.monotonic() + _START_S
    while not (processes.is_alive(job.supervisor) or job.exit.exists()):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):  # come late, it would run beside the next
                os.kill(pid, signal.SIGKILL)
            processes.kill_all(job.mark, job.supervisor)
            raise BoxError(f"could not start the job {job.name}; its log is {job.log}.")
        time.sleep(0.05)


@contextlib.contextmanager
def alone(box: BoxFolder) -> Iterator[None]:
    """Hold the box's lock: no job is started meanwhile, and no code replaced."""
    descriptor = os.open(box.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock.acquire(descriptor, wait=True)  # without locks two laptops may meet
        yield
    finally:
        os.close(descriptor)
