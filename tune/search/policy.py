"""The policy of one search: the next trial, the meaning of an outcome, the time to stop.

It has no Ray, no process and no clock of its own: it is asked for trials and told their outcomes.
Ray Tune drives it in a search, and recorded landscapes drive it in benchmarks.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from search_spaces.config import DEVICES, Config
from trainables.curve import TrainingRequest
from trainables.machine_speed import MachineBest
from trainables.measurement import Outcome
from trainables.sampling import Sampling
from tune.search import explore, feasibility, finals, gpus, pair, reserve, stopping, trainings
from tune.search.batches import Batches
from tune.search.candidates import learner_of, result_of
from tune.search.learned import LEAST_COMPARED
from tune.search.learning import judge
from tune.search.objective import required_speed
from tune.search.problem import Explored, SearchProblem
from tune.search.result import SearchResult
from tune.search.rules import SearchRules
from tune.search.standings import Standings
from tune.search.study import Study
from tune.search.trial import EXPLORING, Stage, Trial

_SLOW_SHARE = 0.9
"""A trial wholly below this share of the best can be neither the fastest nor `lean`."""

_LEAST_TRIAL_S = 30.0
"""The least that an exploring trial gets, however little of --max-time is left."""


class Search:
    """A search through baseline, ramp, sampler, finals and soak, one trial at a time or several.

    With a shard only that part of the space is explored, and another search runs the finals.
    """

    def __init__(
        self,
        study: Study,
        problem: SearchProblem,
        rules: SearchRules,
        *,
        clock: Callable[[], float],
        elapsed_s: float = 0.0,  # seconds of the session before this search began
    ) -> None:
        self.stop_reason: str | None = None
        self._study = study
        self._problem = problem
        self._rules = rules
        self._num_parallel = rules.stopping.num_parallel
        self._clock = clock
        self._started_at = clock() - elapsed_s
        self._first_number = 1 + max((trial.number for trial in study.trials), default=-1)
        self._batches = Batches(rules.stopping.num_parallel)
        self._standings = Standings(
            rules.objective, self._first_number, rules.stopping.min_gain, problem.spot
        )
        self._nothing_known = Explored(problem=problem, scored=(), min_gain=rules.stopping.min_gain)
        study.follow(self._standings.take)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials so far."""
        return self._study.trials

    @property
    def remaining_s(self) -> float | None:
        """Seconds until `max_time_s`, or `None` without one."""
        if self._rules.stopping.max_time_s is None:
            return None
        return self._rules.stopping.max_time_s - (self._clock() - self._started_at)

    @property
    def expected_s(self) -> float | None:
        """Seconds that the search will typically take still; `None` while nothing is known."""
        trains = self._rules.learning is not None
        expected_s = reserve.expected_s(
            self.trials if trains else self._standings.later,
            self._rules,
            self._standings.exploring,
            self.best,
            num_beside=self._num_beside,
        )
        known = [max(0.0, s) for s in (expected_s, self.remaining_s) if s is not None]
        return min(known, default=None)

    @property
    def best(self) -> Trial | None:
        """The explored trial with the highest score so far, if any was measured."""
        return self._standings.best

    def ask(self) -> Trial | None:
        """Open the next trial; `None` means to wait if any is running, else that all is done."""
        if self.stop_reason is None:
            config = self._explore()
            if config is not None:
                return self._study.ask(*config)
        again = self._revisit()
        if again is not None:
            return self._study.ask(*again)
        running = set(self._standings.running)
        if running & EXPLORING or self._problem.shard is not None or self._is_hopeless():
            return None  # finals compare, so they wait until no exploring trial runs
        if running & {Stage.LEVER, Stage.SOAK} or (running and not self._is_side_by_side):
            return None  # a lever is compared, and the winner soaked, with nothing beside it
        training = self._training()
        if training is not None:
            return self._compare(Stage.LEARN, training)
        if Stage.LEARN in running:
            return None
        step = finals.next_step(
            self.trials,
            self._rules.finals,
            self._rules.objective,
            self._problem.baseline,
            learner=self._learner(),
            affordable=reserve.affordable(
                self.trials, self._rules.finals, self.remaining_s, num_beside=self._num_beside
            ),
        )
        if step is None or (running and step[0] is not Stage.FINAL):
            return None  # the winner is known when all finals have ended
        return self._compare(*step)

    def _compare(self, stage: Stage, config: Config) -> Trial:
        """Open a trial of what is compared; before the first, the other half of the pair."""
        baseline, order = self._problem.baseline, self._rules.finals.order
        if order == "auto" and stage is not Stage.SOAK and pair.is_due(self.trials, baseline):
            return self._study.ask(Stage.FINAL, baseline)
        return self._study.ask(stage, config)

    @property
    def _is_side_by_side(self) -> bool:
        trials = self.trials if self._standings.later else ()  # of a final, among others
        return pair.side_by_side(trials, self._rules.finals.order, self._problem.baseline)

    @property
    def _num_beside(self) -> int:
        return max(1, self._num_parallel - len(self.slow_gpus())) if self._is_side_by_side else 1

    def tell(self, trial: Trial, outcome: Outcome) -> Trial:
        """Record how a trial ended; return it with its outcome and score."""
        value = self._standings.score(dataclasses.replace(trial, outcome=outcome))
        finished = self._study.tell(trial, outcome, score=value)
        self._batches.told()
        if trial.stage in EXPLORING and self._standings.is_run_again(finished):
            self.stop_reason = None  # it was counted while it ran
        return finished

    def time_for(self, trial: Trial) -> float:
        """Return the seconds that finals and soak leave of --max-time for one that explores."""
        if self.remaining_s is None or trial.stage not in EXPLORING:
            return math.inf
        explored_s = self._standings.exploring.explored_s
        spare_s = self.remaining_s - self._reserved_s(explored_s)
        return max(_LEAST_TRIAL_S, 2 * explored_s, spare_s)

    def sampling_for(self, trial: Trial) -> Sampling:
        """Return how the trial is sampled; a soak for as long as --max-time leaves."""
        return reserve.sampling_of(trial.stage, self.trials, self.remaining_s)

    def slow_below(self, trial: Trial, on: Sequence[str] = ()) -> float | None:
        """Return the env steps/s below which it cannot win on these GPUs; `None` for no bound."""
        best_score = None if self.best is None else self._standings.score(self.best)
        if trial.stage not in EXPLORING - {Stage.BASELINE, Stage.GPU} or best_score is None:
            return None  # what others are compared with is measured to its end
        share = _SLOW_SHARE * self._standings.relative_speed(on)
        return share * required_speed(
            self._rules.objective,
            config=trial.config,
            best_score=best_score,
            noise_scale=self._standings.noise_scale,
        )

    def slow_gpus(self) -> dict[str, float]:
        """Return the relative speeds of this host's GPUs that are clearly slower than others."""
        return gpus.slow(self._standings.compared)

    def result(self, *, partial: bool) -> SearchResult:
        """Return the result so far."""
        return result_of(
            self.trials,
            objective=self._rules.objective,
            baseline=self._problem.baseline,
            stop_reason=self.stop_reason or "it was interrupted",
            partial=partial,
            wall_s=self._clock() - self._started_at,
            learning=self._rules.learning,
        )

    def machine_best(self, thread_cap: int) -> MachineBest:
        """Return the best of this host's CPUs beside trials so far, under a thread cap."""
        return self._study.machines.best(thread_cap)

    def training_of(self, trial: Trial) -> TrainingRequest | None:
        """Return what a training may take; `None` for a trial of speed alone."""
        plan = self._rules.learning
        if plan is None or trial.stage is not Stage.LEARN:
            return None
        return trainings.request(self.trials, plan, trainings.seed_of(self.trials, trial))

    def _training(self) -> Config | None:
        """Return the configuration to train next; `None` when that is done, or time is up."""
        rules, plan = self._rules, self._rules.learning
        if plan is None:
            return None
        left_s, known = self.remaining_s, self._standings.exploring
        kept_s = reserve.reserved_s(rules, known, self.best, known.explored_s)
        if left_s is not None:
            if len([t for t in self.trials if t.stage is Stage.LEARN]) < LEAST_COMPARED:
                kept_s = min(kept_s, left_s / 2)  # without them there is no answer to prove
            if left_s < kept_s + plan.longest_s(self.trials):
                return None
        # Seeded by the number of trials, so that a resumed search repeats no proposal.
        rng = np.random.default_rng((rules.seed, len(self.trials)))
        fastest = None if self.best is None else self.best.config
        return trainings.next_training(self.trials, plan, self._known(), fastest, rng)

    def _learner(self) -> Config | None:
        plan = self._rules.learning
        return None if plan is None else learner_of(self.trials, judge(self.trials, plan))

    def _explore(self) -> tuple[Stage, Config] | None:
        """Return the next to explore; `None` with `stop_reason`, or to wait for running trials."""
        while True:
            self.stop_reason = self._reason_to_stop()
            if self.stop_reason is not None:
                return None
            # Seeded by the number of trials, so that a resumed search repeats no proposal.
            rng = np.random.default_rng((self._rules.seed, len(self.trials)))
            compared = self._standings.compared
            if gpus.is_to_compare(compared, self._problem.baseline, self._rules.num_gpus):
                return Stage.GPU, self._problem.baseline
            known, proposal = self._batches.propose(self._known, rng)
            if proposal is None:
                if not self._standings.running:
                    self.stop_reason = "every configuration of the space was tried"
                return None
            refusal = feasibility.refusal(known, proposal[1])
            if refusal is None:
                return proposal
            self._study.tell(self._study.ask(*proposal), refusal, score=None)

    def _revisit(self) -> tuple[Stage, Config] | None:
        """Return a configuration to explore before the finals, while there is time.

        It was disturbed, or is the best for another number of GPUs.
        """
        if self.stop_reason is None or self._is_broken():
            return None
        remaining_s, run_s = self.remaining_s, self._standings.exploring.run_s
        if remaining_s is not None and remaining_s < self._reserved_s(run_s):
            return None
        doubtful = dataclasses.replace(self._nothing_known, scored=self._standings.doubtful)
        config = explore.revisit(doubtful)
        if config is None and DEVICES in self._problem.space.names:
            config = explore.untried_devices(self._known(), of_best=True)
        return None if config is None else (Stage.SEARCH, config)

    def _known(self) -> Explored:
        return dataclasses.replace(
            self._nothing_known, scored=self._standings.scored, known_spots=self._standings.spots
        )

    def _reason_to_stop(self) -> str | None:
        if self._is_broken():
            return "the last trials failed with an error, not at a limit"
        exploring, left_s = self._standings.exploring, self.remaining_s
        kept_s = 0.0 if left_s is None else self._reserved_s(exploring.run_s)
        return stopping.reason_to_stop(
            self._rules.stopping, exploring, remaining_s=left_s, reserved_s=kept_s
        )

    def _reserved_s(self, trial_s: float) -> float:
        """Return the seconds of --max-time to keep, one more trial of `trial_s` among them."""
        if self._problem.shard is not None:
            return trial_s
        first_s, exploring = trial_s, self._standings.exploring
        if self._rules.learning is not None and self.best is not None:  # else nothing can train
            runs = [run for run, _ in self._standings.runs]
            first_s += trainings.expected_s(runs, self._rules.learning)
        return reserve.reserved_s(self._rules, exploring, self.best, first_s)

    def _is_broken(self) -> bool:
        return stopping.is_broken(self._standings.latest, num_parallel=self._num_parallel)

    def _is_hopeless(self) -> bool:
        if not self._is_broken():
            return False
        own = [trial for trial in self.trials if trial.number >= self._first_number]
        return stopping.is_hopeless(own)
