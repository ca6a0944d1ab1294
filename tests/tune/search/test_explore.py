"""What is explored next, by what is known: pure, so a table of trials is enough."""

import numpy as np
import pytest

from factories import failed, measurement, outcome, trial
from search_spaces.space import Axis, SearchSpace, doubling
from trainables.measurement import Outcome, OutcomeKind
from tune.search.explore import propose_batch, revisit, untried_devices
from tune.search.problem import Explored, SearchProblem
from tune.search.trial import Scored, Stage

SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=doubling(64, 4096)),
        Axis(name="num_steps", values=(32, 128)),
        Axis(name="batch_size", values=doubling(512, 16384)),
    )
)
BASELINE = {"num_envs": 256, "num_steps": 128, "batch_size": 8192}
Row = tuple[Stage, dict[str, int], Outcome | None, float | None]


def measured(speed: float, device_bytes: int = 1000) -> Outcome:
    return outcome(
        measurement=measurement(steps_per_second=speed), predicted_device_bytes=device_bytes
    )


def propose(
    explored: Explored, rng: np.random.Generator
) -> tuple[Stage, dict[str, int | float | str]] | None:
    proposed = propose_batch(explored, rng, 1, None)
    return None if proposed is None else (proposed.stage, proposed.configs[0])


def known(
    *rows: Row,
    budget: int | None = None,
    warm_start: tuple[dict[str, int], ...] = (),
    space: SearchSpace = SPACE,
) -> Explored:
    scored = tuple(
        Scored(trial(number=number, stage=stage, config=config, outcome=ended), score)
        for number, (stage, config, ended, score) in enumerate(rows)
    )
    problem = SearchProblem(
        space=space, baseline=BASELINE, device_budget_bytes=budget, warm_start=warm_start
    )
    return Explored(problem=problem, min_gain=0.02, scored=scored)


ON_GPUS = SearchSpace(axes=(*SPACE.axes, Axis(name="num_devices", values=(1, 2, 4))))


def on_gpus(number: int, speed: float | None, **sizes: int) -> Row:
    config = BASELINE | sizes | {"num_devices": number}
    return Stage.SEARCH, config, None if speed is None else measured(speed), speed


@pytest.mark.parametrize(
    ("tried", "of_best", "following"),
    [
        ([], False, None),
        ([on_gpus(1, 100.0)], False, (512, 16384, 2)),
        ([on_gpus(1, 100.0), on_gpus(2, 150.0, num_envs=512)], False, (1024, 16384, 4)),
        ([on_gpus(1, 100.0), on_gpus(2, 150.0), on_gpus(4, None)], False, None),
        ([on_gpus(1, 100.0), on_gpus(2, 150.0), on_gpus(4, 200.0)], True, (64, 2048, 1)),
        (
            [
                on_gpus(1, 90.0, num_envs=64, batch_size=2048),
                on_gpus(2, 150.0, num_envs=128, batch_size=4096),
                on_gpus(4, 200.0),
            ],
            True,
            None,
        ),
    ],
)
def test_every_number_of_gpus_is_tried_with_as_much_for_each_as_is_best(
    tried: list[Row], of_best: bool, following: tuple[int, int, int] | None
) -> None:
    config = untried_devices(known(*tried, space=ON_GPUS), of_best=of_best)
    names = ("num_envs", "batch_size", "num_devices")
    assert (None if config is None else tuple(config[name] for name in names)) == following


def test_numbers_of_gpus_come_after_the_ramp_and_not_without_such_an_axis() -> None:
    flat = [on_gpus(1, 100.0, num_envs=512), on_gpus(1, 99.0)]
    proposal = propose(known(first(), *flat, space=ON_GPUS), np.random.default_rng(0))
    assert proposal is not None
    assert proposal[1]["num_devices"] in (1, 2)
    assert untried_devices(known(first(), stride(100.0))) is None


def first(speed: float = 100.0, device_bytes: int = 1000) -> Row:
    return Stage.BASELINE, BASELINE, measured(speed, device_bytes), speed


def stride(speed: float) -> Row:
    config = BASELINE | {"num_envs": 512, "batch_size": 16384}
    return Stage.RAMP, config, measured(speed, 2000), speed


def stage_of(explored: Explored) -> Stage | None:
    proposal = propose(explored, np.random.default_rng(0))
    return None if proposal is None else proposal[0]


def test_the_baseline_comes_first() -> None:
    assert propose(known(), np.random.default_rng(0)) == (Stage.BASELINE, BASELINE)


@pytest.mark.parametrize(
    ("rows", "stage"),
    [
        ((first(),), Stage.RAMP),
        ((first(100.0), stride(150.0)), Stage.RAMP),
        ((first(100.0), stride(101.0)), Stage.SEARCH),
        ((first(100.0), stride(80.0)), Stage.SEARCH),
        (
            (first(), (*stride(0.0)[:2], failed(OutcomeKind.THREAD_LIMIT, "none left."), None)),
            Stage.SEARCH,
        ),
        ((first(), (Stage.SEARCH, BASELINE | {"num_envs": 64}, measured(1.0), 1.0)), Stage.SEARCH),
    ],
    ids=["at once", "it paid", "no gain", "a loss", "a limit", "the sampler has begun"],
)
def test_the_ramp_climbs_while_that_pays(rows: tuple[Row, ...], stage: Stage) -> None:
    assert stage_of(known(*rows)) is stage


@pytest.mark.parametrize(("budget", "grows"), [(100_000, True), (1_100, False)])
def test_a_stride_that_would_likely_end_beyond_the_cliff_is_not_taken(
    budget: int, grows: bool
) -> None:
    proposal = propose(known(first(device_bytes=1000), budget=budget), np.random.default_rng(0))
    assert proposal is not None
    stage, config = proposal
    assert stage is Stage.RAMP
    assert config["num_envs"] > BASELINE["num_envs"]
    assert (config["batch_size"] > BASELINE["batch_size"]) is grows


WARM = tuple(BASELINE | {"num_envs": envs} for envs in (512, 1024, 4096))


def warmed(config: dict[str, int], score: float | None) -> Row:
    ended = failed(OutcomeKind.TIMEOUT, "hung.") if score is None else measured(score)
    return Stage.WARM, config, ended, score


def test_what_others_recommend_is_tried_after_the_baseline_and_in_its_order() -> None:
    rows: list[Row] = []
    order = []
    while (proposal := propose(known(*rows, warm_start=WARM), np.random.default_rng(0))) and (
        proposal[0] in {Stage.BASELINE, Stage.WARM}
    ):
        order.append(proposal)
        rows.append((*proposal, measured(100.0), 100.0))
    assert order == [(Stage.BASELINE, BASELINE), *((Stage.WARM, config) for config in WARM)]


def test_after_recommendations_that_mislead_all_goes_on_as_without_them() -> None:
    rows = [warmed(WARM[0], 50.0), warmed(WARM[1], None), warmed(WARM[2], 99.0)]
    rng = np.random.default_rng(0)
    cold = propose(known(first(100.0)), rng)
    assert cold is not None
    assert cold[0] is Stage.RAMP
    assert propose(known(first(100.0), *rows, warm_start=WARM), rng) == cold


@pytest.mark.parametrize(("best", "stage"), [(1024, Stage.RAMP), (4096, Stage.SEARCH)])
def test_the_ramp_begins_at_what_was_best_of_what_was_recommended(best: int, stage: Stage) -> None:
    rows = [warmed(config, 200.0 if config["num_envs"] == best else 50.0) for config in WARM]
    proposal = propose(known(first(100.0), *rows, warm_start=WARM), np.random.default_rng(0))
    assert proposal is not None
    assert proposal[0] is stage  # 4096 is the most there is
    assert stage is Stage.SEARCH or proposal[1]["num_envs"] > best


def test_a_recommendation_that_likely_does_not_fit_costs_no_trial() -> None:
    rows = [
        first(100.0, 1000),
        (Stage.SEARCH, BASELINE | {"num_envs": 64}, measured(9.0, 250), 9.0),
    ]
    proposal = propose(known(*rows, budget=1_050, warm_start=WARM), np.random.default_rng(0))
    assert proposal is not None
    assert proposal[0] is Stage.SEARCH


def test_the_sampler_stays_where_memory_is_known_to_suffice() -> None:
    small = BASELINE | {"num_envs": 64, "batch_size": 2048}
    rows = first(100.0, 1000), (Stage.SEARCH, small, measured(90.0, 250), 90.0)
    for seed in range(10):
        proposal = propose(known(*rows, budget=1_050), np.random.default_rng(seed))
        assert proposal is not None
        assert proposal[1]["batch_size"] <= BASELINE["batch_size"]


def test_when_all_was_tried_there_is_nothing_to_propose() -> None:
    rows = [first()] + [
        (Stage.SEARCH, config, measured(1.0), 1.0)
        for config in SPACE.configurations()
        if config != BASELINE
    ]
    assert stage_of(known(*rows)) is None


def noisy(num_envs: int, speed: float) -> Row:
    """A configuration whose speed other programs disturbed."""
    config = BASELINE | {"num_envs": num_envs}
    measured_ = measurement(steps_per_second=speed, disturbed=True)
    return Stage.SEARCH, config, outcome(measurement=measured_), speed


def test_the_best_of_what_was_disturbed_is_explored_once_more() -> None:
    rows = [first(100.0), noisy(64, 60.0), noisy(128, 80.0), noisy(512, 40.0)]
    seen = []
    while (config := revisit(known(*rows))) is not None:
        seen.append(config["num_envs"])
        rows.append((Stage.SEARCH, config, measured(90.0), 90.0))
    assert seen == [128, 64]  # 512 is under half of the best: no neighbour takes so much


def test_a_machine_that_is_never_quiet_is_revisited_three_times() -> None:
    rows = [first(100.0), *(noisy(num_envs, 90.0) for num_envs in (64, 128, 512, 1024, 2048))]
    seen = []
    while (config := revisit(known(*rows))) is not None:
        seen.append(config["num_envs"])
        rows.append(noisy(config["num_envs"], 90.0))
    assert len(seen) == len(set(seen)) == 3


def test_a_disturbed_step_of_the_ramp_does_not_end_it() -> None:
    _, config, _, _ = stride(50.0)
    disturbed = outcome(measurement=measurement(steps_per_second=50.0, disturbed=True))
    assert stage_of(known(first(), (Stage.RAMP, config, disturbed, 50.0))) is Stage.RAMP
    assert stage_of(known(first(), stride(50.0))) is Stage.SEARCH


@pytest.mark.parametrize("kind", [OutcomeKind.ERROR, OutcomeKind.NODE_LOST])
def test_deaths_at_larger_sizes_keep_the_search_away_from_still_larger_ones(
    kind: OutcomeKind,
) -> None:
    died = failed(kind, "SIGSEGV, or SIGKILL by someone who did not say why")
    sizes = [(1024, 16384), (2048, 16384), (1024, 4096)]
    deaths: list[Row] = [
        (Stage.SEARCH, BASELINE | {"num_envs": n, "batch_size": b}, died, None) for n, b in sizes
    ]
    ran: list[Row] = [
        (
            Stage.SEARCH,
            BASELINE | {"num_envs": n, "batch_size": 4096},
            measured(100.0 + n),
            100.0 + n,
        )
        for n in (64, 128, 512)
    ]

    def largest(*rows: Row) -> int:
        explored = known(first(), *rows)
        found = [propose(explored, np.random.default_rng(seed)) for seed in range(20)]
        return sum(found_one[1]["num_envs"] > 512 for found_one in found if found_one)

    assert largest(*ran, *deaths) < largest(*ran)
