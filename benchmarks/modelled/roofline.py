"""Seconds of an update by a roofline with launches, and its rates, fitted to what a card did. Pure.

    seconds = launch_s x launches + (sum over kernels of the longer of bytes / bandwidth and
              flops / peak) / efficiency

`launch_s` and `efficiency` are fitted to the speeds of benchmarks/gpu; bandwidth and peak are those
of a card's data sheet. So another card differs by its data sheet alone.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.optimize import nnls

from benchmarks.modelled.hlo import DeviceKernel
from tune.plan import gpus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card by its data sheet: bytes per second of its memory, and the dense TensorFloat-32
    operations per second of its products.
    """

    name: str
    bandwidth: float
    peak: float


_PEAKS = {"L4": 60e12, "RTX 4090": 82.6e12, "H100": 494.7e12}
"""Dense TensorFloat-32 operations per second, by NVIDIA's data sheets, of a cheap card, of one that
is rented often, and of the one that was measured.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of one update on one card: launches, bytes and operations of all its kernels.

    `bound_s` is the seconds in which the card's data sheet could do it. `num_kernels` is how many
    kernels the program has, however often each is launched.
    """

    num_kernels: int
    launches: int
    bytes: float
    flops: float
    bound_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The fitted rates: seconds of a launch, and the share of the data sheet that is reached."""

    launch_s: float
    efficiency: float

    def update_s(self, work: Work) -> float:
        """Return the seconds of one update."""
        return self.launch_s * work.launches + work.bound_s / self.efficiency


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A program whose seconds were seen on a card; `launches` and `flops` are those that were
    counted then.
    """

    program: str
    work: Work
    update_s: float
    launches: float
    flops: float


def card(name: str) -> Card:
    """Return one of the cards that can be modelled."""
    return Card(name=name, bandwidth=gpus.find(name).bandwidth_gb_s * 1e9, peak=_PEAKS[name])


def work_of(kernels: Iterable[DeviceKernel], card: Card) -> Work:
    """Return the work of an update with these kernels."""
    own = list(kernels)
    return Work(
        num_kernels=len(own),
        launches=sum(one.times for one in own),
        bytes=sum(one.times * one.bytes for one in own),
        flops=sum(one.times * one.flops for one in own),
        bound_s=sum(
            one.times * max(one.bytes / card.bandwidth, one.flops / card.peak) for one in own
        ),
    )


def fit(observed: Sequence[Observed]) -> Rates:
    """Return the rates with the least squares of relative errors."""
    terms = np.array([(one.work.launches, one.work.bound_s) for one in observed])
    seconds = np.array([one.update_s for one in observed])
    (launch_s, per_bound), _ = nnls(terms / seconds[:, None], np.ones(len(observed)))
    return Rates(launch_s=float(launch_s), efficiency=float(1.0 / per_bound))


def left_out(observed: Sequence[Observed]) -> list[float]:
    """Return for each program the relative error of the rates that were fitted to the others."""
    errors = []
    for place, one in enumerate(observed):
        rates = fit([*observed[:place], *observed[place + 1 :]])
        errors.append(rates.update_s(one.work) / one.update_s - 1.0)
    return errors
