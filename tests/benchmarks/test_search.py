"""The claims about the search, reduced: fewer seeds, the peers that cost nothing, ratios alone."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Sequence

import pytest

from benchmarks import recorded
from benchmarks import search as benchmark
from benchmarks.peers.libraries import Optuna, RayOptuna
from benchmarks.peers.peer import Coordinates, PeerGrid, PeerResult
from benchmarks.peers.plain import Doubling, Random
from benchmarks.replay import Replay, ReplayPoint, replay
from benchmarks.search_runs import FOLDER, MAX_FREE, SearchRun, run_knowing, run_ours, run_peer
from benchmarks.warm_start import recommendations
from search_spaces.space import Axis, SearchSpace

NAMES = ("phase1-2cpu", "phase2-2cpu", "cartpole-2cpu")
MODELS = tuple(path.stem for path in sorted(FOLDER.glob("model-*.json")))
SEEDS = range(6)
TRIALS = 40


@functools.cache
def scene(name: str) -> Replay:
    return replay(name, recorded.read(FOLDER / f"{name}.json"))


@functools.cache
def runs(name: str, contestant: str) -> list[SearchRun]:
    if contestant == "ours":
        return [run_ours(scene(name), seed, TRIALS) for seed in SEEDS]
    make: dict[str, Callable[..., object]] = {"random": Random, "doubling": Doubling}
    make["ray"] = RayOptuna
    return [run_peer(make[contestant], scene(name), seed, TRIALS) for seed in SEEDS]  # type: ignore[arg-type]


def infeasible(contestant: str, names: Sequence[str] = NAMES) -> float:
    return statistics.fmean(run.num_infeasible for name in names for run in runs(name, contestant))


def test_it_runs_a_fraction_of_what_does_not_fit_that_random_search_runs() -> None:
    assert infeasible("ours") < 0.25 * infeasible("random")


@pytest.mark.filterwarnings("ignore")
def test_ray_tunes_own_searcher_walks_back_to_the_cliff() -> None:
    assert infeasible("ours", NAMES[:1]) < 0.15 * infeasible("ray", NAMES[:1])


@pytest.mark.parametrize("name", [*NAMES, *MODELS])
def test_no_search_is_sooner_than_one_that_knows_what_is_near(name: str) -> None:
    knowing = run_knowing(scene(name), 0)
    assert len(knowing.shares) == 2
    assert min(knowing.shares[1], knowing.picked) >= 0.95
    for run in runs(name, "ours"):
        assert knowing.seconds_to(0.95) <= run.seconds_to(0.95)


def test_the_unluckiest_search_gets_near_the_best_sooner_than_at_random() -> None:
    def slowest(contestant: str) -> float:
        return sum(max(run.seconds_to(0.95) for run in runs(name, contestant)) for name in NAMES)

    assert slowest("ours") < 0.8 * slowest("random") < math.inf


@pytest.mark.parametrize("name", MODELS)
def test_on_a_modelled_gpu_it_runs_nothing_that_does_not_fit_and_picks_what_is_near_the_best(
    name: str,
) -> None:
    ours = runs(name, "ours")
    assert sum(run.num_infeasible for run in ours) == 0
    assert min(run.picked for run in ours) >= 0.98


def test_on_modelled_gpus_one_program_ahead_is_sooner_near_the_best_than_seven() -> None:
    def seconds(num_ahead: int | None) -> float:
        return sum(
            run_ours(scene(name), 0, TRIALS, num_ahead=num_ahead).seconds_to(0.95)
            for name in MODELS
        )

    assert seconds(None) == seconds(1) < 0.8 * seconds(7)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_picks_is_as_good_as_the_pick_of_the_fastest_figure(name: str) -> None:
    ours, random = (statistics.median(r.picked for r in runs(name, c)) for c in ("ours", "random"))
    assert ours > random - 0.02
    assert ours > 0.93


def test_doubling_stops_where_it_fails_and_gets_nowhere_on_a_flat_landscape() -> None:
    ran = runs("phase1-2cpu", "doubling")
    assert all(run.trials_to(0.95) == math.inf for run in ran)


def over_hosts(name: str, num_hosts: int, *, side_by_side: bool) -> float:
    """Seconds of a median search over so many hosts."""
    options = {"num_hosts": num_hosts, "num_ahead": 0, "side_by_side": side_by_side}
    ran = [run_ours(scene(name), seed, TRIALS, **options) for seed in SEEDS]
    return statistics.median(run.ended_s[-1] for run in ran)


@pytest.mark.seconds(60)
@pytest.mark.parametrize(
    ("side_by_side", "of_two", "of_eight"), [(True, 1.4, 2.5), (False, 1.2, 1.4)]
)
def test_hosts_of_a_class_share_exploring_and_finals_if_they_may(
    side_by_side: bool, of_two: float, of_eight: float
) -> None:
    one, two, eight = (
        sum(over_hosts(name, n, side_by_side=side_by_side) for name in NAMES) for n in (1, 2, 8)
    )
    assert one > of_two * two
    assert one > of_eight * eight


@functools.cache
def warm(name: str, profiles: str) -> list[SearchRun]:
    configs = recommendations(scene(name), [scene(name) for name in NAMES])[profiles]
    assert len(configs) <= 3
    return [run_ours(scene(name), seed, TRIALS, warm_start=configs) for seed in SEEDS]


@pytest.mark.parametrize("name", NAMES)
def test_profile_of_the_same_class_is_the_second_trial(name: str) -> None:
    assert all(run.trials_to(0.95) <= 2 for run in warm(name, "of this class"))


def test_profiles_that_mislead_cost_three_trials() -> None:
    def mean(ran: Callable[[str], list[SearchRun]]) -> float:
        return statistics.fmean(run.trials_to(0.95) for name in NAMES for run in ran(name))

    cold = mean(lambda name: runs(name, "ours"))
    misled = mean(lambda name: warm(name, "misleading"))
    assert cold < misled < cold + 3.5  # what they say of slow places may even help


def line(*speeds: float, budget: int) -> Replay:
    """As many configurations along num_envs, each a unit of memory larger than the last."""
    return Replay(
        name="line",
        space=SearchSpace(
            axes=(
                Axis(name="num_envs", values=tuple(2**k for k in range(len(speeds)))),
                Axis(name="num_epochs", values=(4,)),
            )
        ),
        baseline={"num_envs": 1, "num_epochs": 4},
        points={
            (2**k, 4): ReplayPoint(
                speed=speed,
                device_bytes=k + 1,
                build_s=1.0,
                warmup_s=1.0,
                measure_s=2.0,
                num_blocks=5,
            )
            for k, speed in enumerate(speeds)
        },
        budget_bytes=budget,
        deviations=(0.0,),
    )


def test_a_run_counts_trials_seconds_and_what_did_not_fit() -> None:
    run = run_peer(Doubling, line(1.0, 2.0, 4.0, 8.0, budget=3), 0, TRIALS)
    assert run.shares == (0.25, 0.5, 1.0, 0.0)
    assert run.ended_s == (4.0, 8.0, 12.0, 13.0)
    assert (run.trials_to(0.95), run.seconds_to(0.95)) == (3, 12.0)
    assert (run.num_infeasible, run.picked) == (1, 1.0)


def test_random_search_repeats_nothing() -> None:
    run = run_peer(Random, line(*range(1, 9), budget=8), 0, TRIALS)
    assert sorted(run.shares) == [k / 8 for k in range(1, 9)]


@dataclasses.dataclass
class Stubborn:
    """Asks only for sizes that do not divide."""

    num_told: int = 0

    def ask(self) -> Coordinates:
        return (99,)

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        assert result.excess is None
        self.num_told += 1


def test_what_does_not_divide_is_refused_at_no_cost_but_not_for_ever() -> None:
    stubborn = Stubborn()
    run = run_peer(lambda grid, seed: stubborn, line(1.0, 2.0, budget=2), 0, TRIALS)
    assert run.shares == ()
    assert stubborn.num_told == MAX_FREE


@pytest.mark.filterwarnings("ignore")
def test_a_tpe_with_constraints_is_told_of_the_cliff() -> None:
    import optuna

    def make(grid: PeerGrid, seed: int) -> Optuna:
        return Optuna(grid, lambda: optuna.samplers.RandomSampler(seed=seed), prunes=True)

    run = run_peer(make, line(1.0, 2.0, 4.0, budget=2), 0, 10)
    assert len(run.shares) == 10
    assert run.num_infeasible > 0


def test_the_command_prints_a_row_per_contestant(capsys: pytest.CaptureFixture[str]) -> None:
    path = FOLDER / "phase1-2cpu.json"
    code = benchmark.main(
        ["--landscapes", str(path), "--seeds", "1", "--only", "random", "doubling"]
    )
    printed = capsys.readouterr().out
    assert code == 0
    assert "| random without repeats |" in printed
    assert "| doubling until it fails |" in printed


def test_a_landscape_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--landscapes", "nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err
