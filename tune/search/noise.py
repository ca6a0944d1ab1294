"""The noise between fresh processes of one configuration, and the intervals that carry it. Pure.

A process's own interval knows nothing of another process: memory is laid out differently there, and
the machine has other minutes. Finals repeat every leader in rounds. What is left of their speeds,
once each configuration's level and each round's are taken out, is the noise of comparisons, whose
processes run close together. A promise is for other times: what rounds differ by is noise to it.
Few rounds tell little, so what is known of such machines counts like some further rounds.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from trainables.measurement import Measurement
from tune.search.result import Noise
from tune.search.trial import Trial

KNOWN_SD = {"cpu": 0.035, "gpu": 0.005}
"""Log standard deviation between processes of a round, before a search has seen any.

On a CPU: 2.9 %, 3.5 % and 4.2 % in the leaders' rounds of the three landscapes of benchmarks/.
On a GPU: 0.3 %, 0.1 % and 0.1 % over seven, five and five processes on an H100 (benchmarks/gpu);
half a percent, until more cards were seen. These were compiled programs; it stands for no others.
"""

KNOWN_DOF = 2.0
"""Degrees of freedom that the known figure counts for.

With more of them, the intervals of machines that are noisier than known cover too little: of two
rounds of four leaders, with twice the known noise, 92 % are right with 2, 90 % with 4.
"""


def known_sd_of(trials: Iterable[Trial]) -> float:
    """Return what is known of the noise between processes of what these trials ran."""
    return KNOWN_SD["gpu" if any(map(_ran_compiled_on_gpu, trials)) else "cpu"]


def _ran_compiled_on_gpu(trial: Trial) -> bool:
    """Return whether a compiler told its program's bytes, and a GPU's allocator counted them.

    What is no single program, as a script, mostly has its environments, and its noise, on the CPU.
    So has Phase 3, whose bytes are reckoned, and which counts no compilations.
    """
    measured, outcome = trial.measurement, trial.outcome
    if measured is None or outcome is None or measured.num_compilations is None:
        return False
    return bool(outcome.predicted_device_bytes is not None and measured.peak_device_bytes)


def between_processes(
    rounds: Sequence[Sequence[float | None]], *, known_sd: float, known_dof: float = KNOWN_DOF
) -> Noise:
    """Return the noise in speeds: one row per configuration, its speeds in the order of rounds.

    Rows may differ in length, and lack a round: `None`. A two-way layout without interaction is
    fitted to the logs. `known_sd` counts like `known_dof` degrees of freedom.
    """
    within, _ = _spreads(rounds)
    total = known_dof + within.dof
    return _noise(math.sqrt((known_dof * known_sd**2 + within.squares) / total), total)


def over_time(
    rounds: Sequence[Sequence[float | None]], *, known_sd: float, known_dof: float = KNOWN_DOF
) -> Noise:
    """Return the noise between processes at any times, as `between_processes`.

    Where rounds differ by no more than processes do, it is the same noise. Where they differ more,
    it has hardly more degrees of freedom than there are rounds (Satterthwaite 1946), however many
    configurations each had.
    """
    parts = (_Spread(known_dof * known_sd**2, known_dof), *_spreads(rounds))
    squares, dof = sum(part.squares for part in parts), sum(part.dof for part in parts)
    own = sum(part.squares**2 / part.dof for part in parts if part.dof)
    return _noise(math.sqrt(squares / dof), squares**2 / own)


def within_process(measured: Measurement) -> float:
    """Return the half width of the interval of a log speed, of one process by its own blocks.

    Where the interval reaches down to a standstill, it is that of the upper half alone.
    """
    if measured.low > 0.0:
        return math.log(measured.high / measured.low) / 2
    return math.log(measured.high / measured.steps_per_second)


class _Spread(NamedTuple):
    squares: float
    dof: float


def _spreads(rounds: Sequence[Sequence[float | None]]) -> tuple[_Spread, _Spread]:
    """Return the spread of log speeds within rounds, and that of the rounds."""
    cells = [
        (c, r, math.log(v))
        for c, row in enumerate(rounds)
        for r, v in enumerate(row)
        if v is not None
    ]
    if not cells:
        return _Spread(0.0, 0.0), _Spread(0.0, 0.0)
    num_configs, num_rounds = len(rounds), max(map(len, rounds))
    design = np.zeros((len(cells), num_configs + num_rounds))
    for place, (c, r, _) in enumerate(cells):
        design[place, c] = design[place, num_configs + r] = 1.0
    logs = np.array([value for _, _, value in cells])
    within, of_all = _left(design, logs), _left(design[:, :num_configs], logs)
    return within, _Spread(max(0.0, of_all.squares - within.squares), of_all.dof - within.dof)


def _left(design: NDArray[np.float64], logs: NDArray[np.float64]) -> _Spread:
    """Return what a least-squares fit of the logs leaves over."""
    fitted = design @ np.linalg.lstsq(design, logs, rcond=None)[0]
    dof = len(logs) - int(np.linalg.matrix_rank(design))
    return _Spread(float(np.square(logs - fitted).sum()), float(dof))


def _noise(sd: float, dof: float) -> Noise:
    return Noise(sd=sd, dof=dof, quantile=float(stdtrit(dof, 0.975)))
