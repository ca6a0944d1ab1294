"""The options of a search as data; they are also its command line. Stdlib only, pure."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from cluster.errors import UserError
from cluster.node import nvml, raylets
from cluster.node.secret_names import without_secrets
from cluster.node.thread_env import Framework
from search_spaces.config import VARIABLE
from search_spaces.shard import Shard, parse_shard
from trainables.command.options import FACTORY
from tune.parse import parse_bytes, parse_duration, require_at_least
from tune.search.effort import Effort, EffortPlan, FinalsOrder
from tune.search.learned import LearningPlan
from tune.search.objective import Objective

PROFILES = Path("profiles")
"""The folder of the profiles, where the person names none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """Options that every search has."""

    NORMAL: ClassVar[EffortPlan] = EffortPlan()
    """What the effort `normal` stands for."""
    MAX_SEED: ClassVar[int] = 2**63 - 1
    """The largest seed that the trainings take: JAX's."""

    effort: Effort = Effort.NORMAL
    """How sure the answer shall be: sets --max-runs, --patience, --finalists, --final-rounds and
    --soak-updates, where they are left out."""
    max_runs: int | None = None
    """Configurations to try at most (12, 24, 48 by --effort); finals and soak come on top."""
    max_time: str | None = None
    """Time for everything, finals and soak included: 300, 300s, 10m or 2h."""
    patience: int | None = None
    """Stop after so many trials in a row (4, 8, 16) that did not improve the best by --min-gain."""
    min_gain: float = 0.02
    """What counts as an improvement, as a share of the best."""
    objective: Objective = Objective.THROUGHPUT
    """throughput: env steps/s. balanced: discounts what learns less per sample.
    learning: trains what could be best from scratch, and takes what learns fastest."""
    target_return: float | None = None
    """With --objective learning: the return to reach, the sooner the better. Without it the return
    after --learn-time counts."""
    learn_time: str | None = None
    """Time of one training from scratch at most; if left out, learning takes about as long as the
    search of speed."""
    learn_seeds: int | None = None
    """Rounds of trainings (3): each is one seed more for the half that looks best."""
    train_time: str | None = None
    """Length of the training that you plan (10h): compilation is spread over it."""
    space: tuple[str, ...] = ()
    """Axes to replace or add: num_envs=256:4096 (doubling), num_epochs=2,4, env.NAME=1,2 (a
    variable of the trials); of a training of your own any, as lr=1e-4,3e-4 or vec=dummy,subproc."""
    require: tuple[str, ...] = ()
    """Rules that configurations must meet: 'num_envs * num_steps % batch_size == 0'."""
    baseline: tuple[str, ...] = ()
    """Values of the configuration to compare with: num_envs=256 num_steps=128."""
    finalists: int | None = None
    """Leaders (2, 3, 3) that are re-measured in fresh processes, beside the baseline."""
    final_rounds: int | None = None
    """How often (2, 2, 3) each finalist is re-measured: once if it is beaten, up to twice as often
    while it may win."""
    soak_updates: int | None = None
    """Updates (50, 200, 400) the winner must survive in one process; 0 leaves the soak out."""
    finals: FinalsOrder = "auto"
    """alone: what is compared runs one after the other on one GPU. together: side by side on all.
    auto: so on the GPUs of one host, if one JAX program is trained and the baseline is as fast
    beside the others as alone."""
    levers: Literal["none", "gpu"] = "none"
    """gpu: try some flags of XLA, and bfloat16 products, on the winner; keep one that is faster and
    learns alike."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """auto takes the GPU if there is one; a GPU that cannot be used is an error."""
    gpus: int | None = None
    """GPUs of one kind to explore on side by side; all if left out, with a search for each kind."""
    thread_cap: int | None = None
    """CPUs that a trial binds itself to; chosen from the room for threads if left out."""
    memory_budget: str | None = None
    """Device memory that a trial may use: 20GiB. Default: 86 % of the GPU's free memory; on a
    CPU 60 % of free RAM."""
    trial_timeout: str = "10m"
    """After this a trial is killed with all its processes."""
    address: str | None = None
    """Search on a Ray cluster: auto, its head's IP:PORT, or ray://HEAD:10001 from outside of it."""
    machine_class: str | None = None
    """Of the cluster's classes, or of the kinds of this machine's GPUs, search this one alone."""
    class_timeout: str = "60s"
    """After so long without a host of its class, a search on a cluster ends with an error."""
    warm_start: Path | None = None
    """Try first what profiles of other machines found: a profile, or a folder of them."""
    shard: str | None = None
    """Explore one part of several, as 1/2, with its share of --max-runs; --known then finishes."""
    known: tuple[Path, ...] = ()
    """Journals of this very search from machines of this class: what they explored counts here."""
    seed: int = 0
    """Seeds the sampler and the workload."""
    out: Path | None = None
    """Folder for journal, logs and tables; default runs/<name>-<date>-<time>."""
    profiles: Path = PROFILES
    """Folder for the profiles."""
    resume: bool = False
    """Go on with the search in --out, or with the newest of its name in runs/."""
    dashboard: bool = False
    """Start Ray's dashboard on loopback and print its URL."""
    tensorboard: bool = False
    """Write TensorBoard's files beside the trials, with their configurations as HParams."""
    mlflow: str | None = None
    """Also log every trial to this MLflow tracking URI: sqlite:///mlflow.db, http://localhost:5000."""
    check: bool = False
    """Search nothing: run the baseline alone for some seconds, and say its speed and its needs."""
    json: bool = False
    """Print JSON lines instead of the screen."""
    debug: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        for name, least in (
            ("max_runs", 1),
            ("patience", 1),
            ("finalists", 1),
            ("final_rounds", 1),
            ("soak_updates", 0),
            ("seed", 0),
            ("gpus", 1),
            ("learn_seeds", 1),
            ("thread_cap", 1),
        ):
            require_at_least(f"--{name.replace('_', '-')}", getattr(self, name), least)
        if any(axis.startswith(f"{VARIABLE}{nvml.VISIBLE}=") for axis in self.space):
            raise UserError(
                f"--space cannot vary {nvml.VISIBLE}, which is set for each trial; to train on "
                "several GPUs vary num_devices."
            )
        if self.seed > self.MAX_SEED:
            raise UserError(f"--seed must be at most {self.MAX_SEED}, got {self.seed}.")
        if not 0.0 <= self.min_gain < 1.0:
            raise UserError(f"--min-gain is a share like 0.02, got {self.min_gain}.")
        self.max_time_s  # noqa: B018  (raises on what cannot be read)
        self.trial_timeout_s  # noqa: B018
        self.class_timeout_s  # noqa: B018
        self.memory_budget_bytes  # noqa: B018
        self._require_learning()
        if self.gpus is not None and self.device == "cpu":
            raise UserError("--gpus and --device cpu contradict each other: leave one out.")
        if self.check and self.address is not None:
            raise UserError("--check tries the training on this machine: leave out --address.")
        if self.part is not None:
            self.part.max_runs(self.effort_plan.max_runs)

    def _require_learning(self) -> None:
        """Hold the options of learning to being asked for, and to be read."""
        if self.objective is not Objective.LEARNING:
            for name in ("target_return", "learn_time", "learn_seeds", "train_time"):
                if getattr(self, name) is not None:
                    option = f"--{name.replace('_', '-')}"
                    raise UserError(f"{option} is for --objective learning: give both, or none.")
        if self.target_return is not None and not math.isfinite(self.target_return):
            raise UserError(f"--target-return is a number like 450, got {self.target_return}.")
        self.learning  # noqa: B018  (raises on what cannot be read)

    @property
    def effort_plan(self) -> EffortPlan:
        """The plan of --effort, with what was given beside it."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(EffortPlan)}
        given = {name: value for name, value in own.items() if value is not None}
        return dataclasses.replace(self.NORMAL.at(self.effort), **given)

    @property
    def learning(self) -> LearningPlan | None:
        """The plan of the trainings, `None` for a search of speed alone."""
        if self.objective is not Objective.LEARNING:
            return None
        longest, planned = self.learn_time, self.train_time
        given: dict[str, Any] = {
            "num_seeds": self.learn_seeds,
            "training_s": None if longest is None else parse_duration("--learn-time", longest),
            "target": self.target_return,
            "planned_s": None if planned is None else parse_duration("--train-time", planned),
        }
        return LearningPlan(**{name: value for name, value in given.items() if value is not None})

    @property
    def max_time_s(self) -> float | None:
        """`--max-time` in seconds."""
        return None if self.max_time is None else parse_duration("--max-time", self.max_time)

    @property
    def trial_timeout_s(self) -> float:
        """`--trial-timeout` in seconds."""
        return parse_duration("--trial-timeout", self.trial_timeout)

    @property
    def class_timeout_s(self) -> float:
        """`--class-timeout` in seconds."""
        return parse_duration("--class-timeout", self.class_timeout)

    @property
    def memory_budget_bytes(self) -> int | None:
        """`--memory-budget` in bytes, `None` without one."""
        budget = self.memory_budget
        return None if budget is None else parse_bytes("--memory-budget", budget)

    @property
    def part(self) -> Shard | None:
        """`--shard`, `None` for the whole."""
        return None if self.shard is None else parse_shard(self.shard)


def cluster_of(spec: SearchSpec, environ: Mapping[str, str]) -> str | None:
    """Return the address of the cluster: the one given, or that of the Ray job which this is.

    `None` is a search on this machine.

    Raises:
        UserError: if an option does not go with the other ones.
    """
    address = raylets.job_address(environ) if spec.address is None else spec.address
    if address is not None and (spec.shard is not None or spec.known):
        raise UserError("--shard and --known are for machines apart: a cluster shares by itself.")
    if address is not None and spec.gpus is not None:
        raise UserError("--gpus is for this machine's own: in a cluster Ray counts them.")
    if address is not None and spec.dashboard:
        raise UserError("--dashboard is for this machine's own Ray; a cluster's is at its head.")
    return address


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """The task that a search tunes: the workload with its options, and its names.

    `name` is in the names of output folders; `mode` and `phase` go into the profile; `data`
    describes the training data, with its hash; `framework` decides the thread caps;
    `num_subprocesses` is how many a trial starts, each of which needs room for threads, and
    `more_threads` how many one was seen to take beside what is expected; `source` has the hash of
    each file of a person's own workload. No measurement depends on `run_options`, so a search that
    is resumed may have others. `notes` are sentences about the data for a person, `doubts` such
    about a speed that was read, which go into the result. `seed_option` is the option that draws a
    training anew, and nothing else; `learning_options` are those of trainings whose learning is
    judged. A soak of fewer than `confirming_updates` confirms no share of a production run.
    """

    name: str
    mode: str
    phase: int | None
    workload: str
    options: dict[str, Any]
    data: dict[str, Any]
    framework: Framework
    num_subprocesses: int = 0
    more_threads: int = 0
    source: dict[str, str] = dataclasses.field(default_factory=dict)
    run_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    seed_option: str = "seed"
    learning_options: dict[str, Any] = dataclasses.field(default_factory=dict)
    confirming_updates: int = 0

    def training_options(self, seed: int) -> dict[str, Any]:
        """Return the options of a training from scratch with a seed of its own."""
        return self.options | self.learning_options | {self.seed_option: seed}

    @property
    def is_command(self) -> bool:
        """Return whether the training is a person's own command."""
        return self.workload == FACTORY

    @property
    def shown_options(self) -> dict[str, Any]:
        """Return the options as they may stand in files: without secrets."""
        return without_secrets(self.options)

    def shown(self) -> "Task":
        """Return the task as it may stand in files."""
        run_options = without_secrets(self.run_options)
        return dataclasses.replace(self, options=self.shown_options, run_options=run_options)
