"""Paths of the fleet's folder on a box, which only this user may read."""

import dataclasses
from pathlib import Path

from cluster.node.atomic import read_json
from cluster.node.deadman import DeadmanFolder

REFUSED = 3
"""The exit code of a command that the box refuses; stderr says why."""

_OURS = (
    *("code", "code.new", "code.old", "python", "ready.json", "lock"),
    *("deadman.json", "deadman_process.json", "deadman_fired.json", "deadman.log"),
    *("jobs", "files", "known.*"),  # the last two are what `submit` sends
)
"""All that the fleet makes in its folder, by name."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobFolder:
    """Paths of one job, which is one search and all its resumptions."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the job."""
        return self.path.name

    @property
    def mark(self) -> str:
        """The mark of its processes: two fleets on one box may have jobs of one name."""
        return str(self.path)

    @property
    def request(self) -> Path:
        """Request of the job, and the Unix time of its start."""
        return self.path / "job.json"

    @property
    def supervisor(self) -> Path:
        """Process that waits for the job."""
        return self.path / "supervisor.json"

    @property
    def process(self) -> Path:
        """First process of the job itself."""
        return self.path / "process.json"

    @property
    def end_reason(self) -> Path:
        """Reason for which we ended it, `stopped` or `deadline`; absent if it ended by itself."""
        return self.path / "end_reason.json"

    @property
    def exit(self) -> Path:
        """End of the job, a `JobExit`; absent while it runs."""
        return self.path / "exit.json"

    @property
    def events(self) -> Path:
        """Stdout of the job: JSON lines."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """Stderr of the job."""
        return self.path / "log.txt"

    @property
    def run(self) -> Path:
        """Run folder of the search, its `--out`."""
        return self.path / "run"

    @property
    def profiles(self) -> Path:
        """Profiles of the search, its `--profiles`."""
        return self.path / "profiles"


@dataclasses.dataclass(frozen=True, slots=True)
class BoxFolder:
    """Paths below the fleet's folder."""

    path: Path

    @property
    def code(self) -> Path:
        """Tree of the repository, with its `.venv`."""
        return self.path / "code"

    @property
    def new_code(self) -> Path:
        """Tree that was sent and is to take the code's place."""
        return self.path / "code.new"

    @property
    def python(self) -> Path:
        """Interpreter that runs `cluster.box`, as text."""
        return self.path / "python"

    @property
    def ready(self) -> Path:
        """Findings of `up`, a `BoxReady`; absent until it has finished."""
        return self.path / "ready.json"

    @property
    def jobs(self) -> Path:
        """One folder per job."""
        return self.path / "jobs"

    @property
    def lock(self) -> Path:
        """Lock that is held while a job is started or the code replaced: laptops may meet."""
        return self.path / "lock"

    @property
    def deadman(self) -> DeadmanFolder:
        """Files of the dead-man."""
        return DeadmanFolder(self.path)

    def own_entries(self) -> list[Path]:
        """Return what the fleet has made here, with the drafts of files that broke off."""
        patterns = [*_OURS, *(f".{name}.*" for name in _OURS)]
        return sorted({path for pattern in patterns for path in self.path.glob(pattern)})

    def job(self, name: str) -> JobFolder:
        """Return the folder of the job of this name."""
        return JobFolder(self.jobs / name)

    def started_jobs(self) -> list[JobFolder]:
        """Return all jobs by the time of their start, the latest first."""
        folders = [JobFolder(path) for path in self.jobs.glob("[!.]*") if path.is_dir()]
        started = [(read_json(job.request) or {}, job) for job in folders]
        known = [(request["started_at"], job) for request, job in started if request]
        return [job for _, job in sorted(known, key=lambda pair: pair[0], reverse=True)]
