"""All peers by name."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator

from benchmarks.peers.libraries import (
    Ax,
    Nevergrad,
    RayOptuna,
    Smac,
    optuna_gp,
    optuna_tpe,
)
from benchmarks.peers.peer import Peer, PeerGrid
from benchmarks.peers.plain import Doubling, Random
from benchmarks.peers.protein import ProteinLike

PEERS: dict[str, Callable[[PeerGrid, int], Peer]] = {
    "random without repeats": Random,
    "doubling until it fails": Doubling,
    "Ray Tune OptunaSearch": RayOptuna,
    "Optuna TPE, constraints": optuna_tpe,
    "Optuna GP, constraints": optuna_gp,
    "SMAC3": Smac,
    "Ax": Ax,
    "Nevergrad NGOpt": Nevergrad,
    "Protein-like": ProteinLike,
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and logs of peers, which would break up the table."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
