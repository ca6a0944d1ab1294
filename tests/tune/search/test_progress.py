"""The model of progress per second, over configurations whose learning is known."""

import math

import numpy as np
import pytest

from search_spaces.config import Config
from search_spaces.space import Axis, SearchSpace, doubling
from tune.search import progress
from tune.search.progress import Trained

SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=doubling(16, 1024)),
        Axis(name="num_steps", values=(32, 128)),
        Axis(name="batch_size", values=doubling(256, 8192)),
    )
)
ALL = list(SPACE.configurations())


def seconds(config: Config, *, batch: float, samples: float) -> float:
    return (1 + config["batch_size"] / batch) * (
        1 + config["num_envs"] * config["num_steps"] / samples
    )


@pytest.mark.parametrize("batch", [256.0, 4096.0, 65536.0])
@pytest.mark.parametrize("samples", [2048.0, 32768.0])
def test_the_two_scales_are_found_by_a_few_trainings(batch: float, samples: float) -> None:
    seen = [ALL[place] for place in np.linspace(0, len(ALL) - 1, 8).astype(int)]
    told = [
        Trained(
            config=c, log_seconds=math.log(seconds(c, batch=batch, samples=samples)), num_seeds=3,
            speed=1.0, samples=c["num_envs"] * c["num_steps"],
        )
        for c in seen
    ]  # fmt: skip
    predicted = progress.predict(SPACE, told, ALL, np.ones(len(ALL)))
    truth = np.array([math.log(seconds(c, batch=batch, samples=samples)) for c in ALL])
    assert float(np.abs(predicted.mean - truth).max()) < 0.7  # of a range of 2 to 8
    best = ALL[int(predicted.mean.argmin())]
    assert seconds(best, batch=batch, samples=samples) <= 1.1 * math.exp(truth.min())


def test_twice_the_speed_is_half_the_seconds() -> None:
    told = [Trained(config=ALL[0], log_seconds=0.0, num_seeds=1, speed=1.0, samples=512)]
    slow = progress.predict(SPACE, told, ALL[:3], np.ones(3))
    fast = progress.predict(SPACE, told, ALL[:3], np.full(3, 2.0))
    assert np.allclose(slow.mean - fast.mean, math.log(2.0))


def test_more_is_expected_of_what_may_be_better_and_little_of_what_was_seen_often() -> None:
    often = Trained(config=ALL[0], log_seconds=0.0, num_seeds=50, speed=1.0, samples=512)
    predicted = progress.predict(SPACE, [often], [ALL[0], ALL[-1]], np.array([1.0, 8.0]))
    assert predicted.improvement[1] > 5 * predicted.improvement[0]
    assert predicted.std[0] < 0.2 < predicted.std[1]


def test_what_the_form_cannot_say_is_learned_of_other_axes() -> None:
    space = SearchSpace(axes=(Axis(name="lr", values=(1e-4, 1e-3, 1e-2)),))
    configs = list(space.configurations())
    told = [
        Trained(config=c, log_seconds=s, num_seeds=3, speed=1.0, samples=512)
        for c, s in zip(configs[:2], (0.0, 2.0), strict=True)
    ]
    predicted = progress.predict(space, told, configs, np.ones(3))
    assert predicted.mean[0] < predicted.mean[1] - 0.5
    assert predicted.mean[2] > predicted.mean[0]


def test_nothing_is_predicted_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing was trained"):
        progress.predict(SPACE, [], ALL, np.ones(len(ALL)))


def test_what_no_training_told_is_a_guess_over_all_scales() -> None:
    large, small = (
        dict(zip(SPACE.names, sizes, strict=True)) for sizes in ((64, 128, 1024), (16, 32, 256))
    )

    def ratio(noise_scale: float | None, *, speed: float = 1.0) -> float:
        return progress.times_as_long(large, speed, small, 1.0, noise_scale=noise_scale)

    assert 1.0 < ratio(1e9) < 16.0  # sixteen times the samples; the batch is known to be no matter
    assert ratio(1.0) == pytest.approx(4 * ratio(1e9), rel=0.01)  # it is known to be all
    assert ratio(1e9) < ratio(None) < ratio(1.0)
    assert ratio(None, speed=2.0) == pytest.approx(ratio(None) / 2)
    assert progress.times_as_long(large, 1.0, large, 1.0, noise_scale=None) == 1.0


def test_the_samples_of_an_update_are_known_where_one_axis_alone_is_searched() -> None:
    space = SearchSpace(axes=(Axis(name="num_envs", values=doubling(4, 1024)),))
    configs = list(space.configurations())
    seen = [c for c in configs if c["num_envs"] in (64, 256, 1024)]
    told = [
        Trained(
            config=c,
            log_seconds=math.log(1 + 128 * c["num_envs"] / 4096),
            num_seeds=3,
            speed=1.0,
            samples=128 * c["num_envs"],
        )
        for c in seen
    ]
    predicted = progress.predict(space, told, configs, np.ones(len(configs)))
    assert predicted.mean[0] == predicted.mean.min()
    assert predicted.mean[0] < predicted.mean[4] - 0.5  # 64
