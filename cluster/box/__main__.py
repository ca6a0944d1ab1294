"""Commands of a box: python -m cluster.box NAME, with JSON on stdin and JSON on stdout."""

import contextlib
import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cluster.box import bundle, jobs, progress, setup
from cluster.box.answer import BoxReady, BoxStatus, JobExit, JobStatus
from cluster.box.folder import REFUSED, BoxFolder, JobFolder
from cluster.errors import BoxError
from cluster.node import deadman, processes
from cluster.node.atomic import read_json, write_json
from cluster.structure import structure_known


def status(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `BoxStatus`, in plain values."""
    ready, job = read_json(box.ready), jobs.current(box)
    answer = BoxStatus(
        machine_age_s=processes.machine_age_s(),
        ready=None if ready is None else structure_known(BoxReady, ready),
        deadman=deadman.status(box.deadman),
        job=None if job is None else _job(job),
    )
    return dataclasses.asdict(answer)


def ready(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Record that `up` has finished, with the interpreter and the class that it found."""
    box.jobs.mkdir(mode=0o700, exist_ok=True)
    write_json(box.ready, {**request, "at": time.time()})
    return {}


def swap(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the code by what was sent."""
    setup.swap(box, python=request["python"])
    return {}


def install(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Install into the environment."""
    setup.install(box, request["words"])
    return {}


def start(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Start or resume a job."""
    return jobs.start(
        box,
        name=request["name"],
        words=request["words"],
        resume=request["resume"],
        split=request.get("split"),
        own_words=request.get("own_words"),
    )


def stop(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """End the job that runs, if any; tell what a pull leaves out."""
    stopped = jobs.stop(box, reason="stopped")
    return {"stopped": stopped, "only_here": _only_here(box)}


def arm(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Arm the dead-man."""
    armed = deadman.arm(
        box.deadman,
        hours=request["hours"],
        stop_command=request["stop_command"],
        words=("cluster.box", "deadman"),
        cwd=box.code,
    )
    return dataclasses.asdict(armed)


def end_rent(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Let the dead-man fire now; `home` is the end of the job whose results were brought home.

    Raises:
        BoxError: if a job runs or has ended since, or something that a pull leaves out would go
            with the box.
    """
    with jobs.alone(box):
        if (job := jobs.running(box)) is not None:
            raise BoxError(f"runs the job {job.name}: its rent goes on.")
        job = jobs.current(box)
        ended = None if job is None else _exit(job)
        if request.get("home") not in (None, [job and job.name, ended and ended.ended_at]):
            raise BoxError("has run another job meanwhile, whose results are not home yet.")
        if (only_here := _only_here(box)) is not None:
            raise BoxError(only_here)
        stop_command = request["stop_command"]
        try:
            return arm(box, {"hours": 0.0, "stop_command": stop_command})
        except deadman.LateError:  # by itself it comes, and two would outlive the next `up`
            return {}
        except (OSError, BoxError):  # a full disk must not keep the rent running
            words = ("cluster.box", "fire")
            deadman.fire(box.deadman, stop_command=stop_command, words=words, cwd=box.code)
            return {}


def remove(box: BoxFolder, request: Mapping[str, Any]) -> dict[str, Any]:
    """Remove what the fleet made in its folder, and the folder if nothing else is in there.

    Raises:
        BoxError: if a job runs, an armed dead-man is to stop the rent from there, or something that
            a pull leaves out would go with the folder.
    """
    if (job := jobs.running(box)) is not None:
        raise BoxError(f"still runs the job {job.name}: its folder stays.")
    armed = deadman.armed(box.deadman)
    if armed is not None and armed.stop_command:
        raise BoxError("keeps its folder: the armed dead-man, which stops the rent, lives in it.")
    if (only_here := _only_here(box)) is not None:
        raise BoxError(only_here)
    deadman.disarm(box.deadman)
    for path in box.own_entries():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    with contextlib.suppress(OSError):  # it has more in it, or a disk of its own
        box.path.rmdir()
    left = [path.name for path in sorted(box.path.glob("*"))]
    kept = f", but not what is not the fleet's there: {', '.join(left)}" if left else ""
    return {"removed": f"{box.path}{kept}"}


def _only_here(box: BoxFolder) -> str | None:
    """Return the sentence on what a pull leaves out, `None` if there is nothing."""
    paths = bundle.staying(box.jobs)
    if not paths:
        return None
    first, more = str(paths[0]), len(paths) - 1
    name = first if first.isprintable() else ascii(first)  # a training chose it
    also = f" (and {more} more)" if more else ""
    return f"{name}{also} is only on the box: copy it by scp -r, then remove it there."


def _job(job: JobFolder) -> JobStatus:
    request = read_json(job.request)
    ended = _exit(job)
    lines = job.events.read_text(errors="replace").splitlines() if job.events.exists() else []
    age_s = processes.age_s(job.supervisor)
    running = jobs.is_running(job)
    ended = ended or _exit(job)  # it may have ended while we looked
    end_at = time.time() if ended is None else ended.ended_at
    return JobStatus(
        name=job.name,
        words=tuple(request["words"]),
        own_words=request.get("own_words"),
        split=request.get("split"),
        state="running" if running else "ended" if ended else "died",
        elapsed_s=end_at - request["started_at"] if age_s is None or ended else age_s,
        exit=ended,
        log_tail=() if running else _tail(job.log),
        **dataclasses.asdict(progress.read(lines)),
    )


def _exit(job: JobFolder) -> JobExit | None:
    written = read_json(job.exit)
    return None if written is None else structure_known(JobExit, written)


def _tail(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(errors="replace").splitlines()[-5:]) if path.exists() else ()


_ANSWERS: dict[str, Callable[[BoxFolder, Mapping[str, Any]], dict[str, Any]]] = {
    "status": status,
    "swap": swap,
    "install": install,
    "ready": ready,
    "start": start,
    "stop": stop,
    "arm": arm,
    "end_rent": end_rent,
    "remove": remove,
}


def main() -> int:
    """Run one command; return 3 if the box refuses, with the reason on stderr."""
    os.umask(0o077)
    box = BoxFolder(Path.cwd().parent)
    command, request = sys.argv[1], json.load(sys.stdin)
    if command == "pull":
        bundle.send(box.jobs, request, sys.stdout.buffer)
    elif command == "supervise":
        jobs.supervise(box, request["name"])
    elif command == "deadman":
        deadman.watch(box.deadman, end=lambda: jobs.stop(box, reason="deadline"))
    elif command == "fire":
        deadman.fire_now(box.deadman, request, end=lambda: jobs.stop(box, reason="deadline"))
    else:
        try:
            print(json.dumps(_ANSWERS[command](box, request)))
        except BoxError as error:
            print(error, file=sys.stderr)
            return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
