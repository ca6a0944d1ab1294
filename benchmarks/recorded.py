"""A landscape as data: its file, its configurations' true speeds, and the noise of visits."""

import dataclasses
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.errors import UserError
from cluster.node import atomic
from cluster.structure import revive
from search_spaces.space import Axis, SearchSpace
from trainables.measurement import OutcomeKind

ConfigValues = tuple[int, ...]
_MODEL_DEVIATIONS = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One trial of one configuration; seconds are wall seconds, speeds in env steps per second.

    `stage` is "pass", "leaders" or "canary"; `at_s` is seconds since the recording began, `load`
    the machine's one-minute load average as the trial started. Figures that a trial did not
    measure are `None`.
    """

    stage: str
    config: ConfigValues
    kind: OutcomeKind
    at_s: float
    load: float
    wall_s: float
    device_bytes: int | None
    peak_host_bytes: int | None
    steps_per_second: float | None = None
    low: float | None = None
    high: float | None = None
    num_blocks: int | None = None
    startup_s: float | None = None
    build_s: float | None = None
    compile_s: float | None = None
    warmup_s: float | None = None
    measure_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """A recorded space: facts about the recording, and every visit in order."""

    about: dict[str, Any]
    axes: dict[str, tuple[int, ...]]
    baseline: ConfigValues
    visits: tuple[Visit, ...] = ()

    @property
    def is_model(self) -> bool:
        """Return whether its speeds were computed, and not measured."""
        return "model" in self.about

    @property
    def space(self) -> SearchSpace:
        """The space as a search takes it."""
        axes = (Axis(name=name, values=values) for name, values in self.axes.items())
        return SearchSpace(axes=tuple(axes))

    def of(self, *stages: str) -> list[Visit]:
        """Return the visits of these stages, in order."""
        return [visit for visit in self.visits if visit.stage in stages]


def read(path: Path) -> Landscape:
    """Read a landscape.

    Raises:
        UserError: if the file is not there or holds something else.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        names = fields.pop("columns")
        visits = [dict(zip(names, row, strict=True)) for row in fields.pop("visits")]
        return Landscape(
            about=fields["about"],
            axes={name: tuple(values) for name, values in fields["axes"].items()},
            baseline=tuple(fields["baseline"]),
            visits=tuple(revive(Visit, visit) for visit in visits),
        )
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is no landscape ({error!r}); record it anew.") from error


def write(path: Path, landscape: Landscape) -> None:
    """Write a landscape as JSON in one step, one visit per line."""
    names = [field.name for field in dataclasses.fields(Visit)]
    head = {
        "about": landscape.about,
        "axes": landscape.axes,
        "baseline": landscape.baseline,
        "columns": names,
    }
    rows = ([getattr(visit, name) for name in names] for visit in landscape.visits)
    write_rows(path, head, "visits", rows)


def write_rows(
    path: Path, head: Mapping[str, Any], name: str, rows: Iterable[Sequence[Any]]
) -> None:
    """Write `head` and, by `name`, rows as JSON in one step, one row per line."""
    lines = ",\n".join(json.dumps([*map(_rounded, row)], separators=(",", ":")) for row in rows)
    text = f'{json.dumps(head, indent=1)[:-2]},\n "{name}": [\n{lines}\n]}}\n'
    atomic.write_text(path, text)


def _rounded(value: Any) -> Any:
    """Round to five digits, which is more than such a measurement has."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def true_speeds(landscape: Landscape) -> dict[ConfigValues, float]:
    """Return the best estimate of each configuration's speed in env steps per second.

    The mean of a configuration's visits is drawn towards a surface. A leader's visit that made it a
    leader does not count: the fastest of many noisy figures is too fast. A model's are the truth.
    """
    if landscape.is_model:
        return {v.config: v.steps_per_second for v in landscape.visits if v.steps_per_second}
    again = by_config(landscape.of("leaders", "canary"))
    visits = by_config(landscape.of("pass")) | again
    configs = [config for config in visits if geometric_mean(visits[config]) is not None]
    counts = np.array([len(visits[config]) for config in configs])
    means = np.log([geometric_mean(visits[config]) or math.nan for config in configs])
    noise = statistics.fmean(x * x for x in residuals(landscape)) / counts
    drawn = drawn_to_surface(np.array(configs, dtype=float), means, noise)
    return dict(zip(configs, np.exp(drawn).tolist(), strict=True))


def drawn_to_surface(
    points: npt.NDArray[np.float64], means: npt.NDArray[np.float64], noise: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the best estimates [n] of what noisy `means` [n] are of, at `points` [n, d].

    By empirical Bayes they are drawn towards a quadratic surface over the points' log2; their
    variances `noise` [n] say how far.
    """
    terms = _quadratic_terms(np.log2(points))
    surface: npt.NDArray[np.float64] = terms @ np.linalg.lstsq(terms, means, rcond=None)[0]
    freedom = max(1, len(points) - np.linalg.matrix_rank(terms))
    roughness = max(0.0, float(np.square(means - surface).sum() / freedom - noise.mean()))
    trust = roughness / (roughness + noise)
    return surface + trust * (means - surface)


def _quadratic_terms(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[n, 1 + d + d * (d + 1) / 2]: a constant, the coordinates, and their products."""
    centered = points - points.mean(axis=0)
    rows, columns = np.triu_indices(points.shape[1])
    products = centered[:, rows] * centered[:, columns]
    return np.hstack([np.ones((len(points), 1)), centered, products])


def geometric_mean(visits: Sequence[Visit]) -> float | None:
    """Return the geometric mean of the measured speeds; `None` if there are none."""
    measured = [visit.steps_per_second for visit in visits if visit.steps_per_second]
    return statistics.geometric_mean(measured) if measured else None


def residuals(landscape: Landscape) -> list[float]:
    """Return the log deviations of single visits from the truth, for configurations visited again.

    The mean of n visits lies closer to each of them than the truth does, by sqrt(1 - 1/n). A model
    has those of a normal distribution.
    """
    if landscape.is_model:
        noise = statistics.NormalDist(0.0, landscape.about["noise_sd"])
        return noise.quantiles(_MODEL_DEVIATIONS)
    deviations = []
    for visits in by_config(landscape.of("leaders", "canary")).values():
        logs = [math.log(v.steps_per_second) for v in visits if v.steps_per_second]
        if len(logs) > 1:
            scale = math.sqrt(len(logs) / (len(logs) - 1))
            deviations += [scale * (value - statistics.fmean(logs)) for value in logs]
    return deviations


def by_config(visits: Sequence[Visit]) -> dict[ConfigValues, list[Visit]]:
    """Group visits by their configuration, each list in order."""
    grouped: dict[ConfigValues, list[Visit]] = {}
    for visit in visits:
        grouped.setdefault(visit.config, []).append(visit)
    return grouped
