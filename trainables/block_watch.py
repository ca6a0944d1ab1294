"""The watch over a trial's blocks of updates: which of them something beside it disturbed."""

from collections.abc import Sequence
from typing import Any

from trainables.canary import canary_on
from trainables.disturbance import Restarts, ignores_neighbours, neighbours_on
from trainables.gpu_monitor import GpuMonitor, GpuNeighbours
from trainables.measurement import TrialRequest


class BlockWatch:
    """Looks between the blocks of one trial, from its first block on."""

    def __init__(self, request: TrialRequest) -> None:
        self._gpu = GpuMonitor(request.platform)
        self._neighbours = neighbours_on(request.cpus, on_gpu=request.platform == "cuda")
        self._on_gpu = GpuNeighbours(request.platform)
        self._restarts = Restarts()
        self._canary = canary_on(request.cpus)
        if self._canary is not None:
            self._canary.look()
        # What slower CPUs do to a training on a GPU was not measured.
        self._judges = request.platform == "cpu"
        self._best = request.machine_best
        self._by_others: list[bool] = []
        self._slowed: list[bool] = []

    def disturbed(self) -> Sequence[bool]:
        """Look after a block; return of each so far whether it was disturbed."""
        self._gpu.look()
        self._restarts.look()
        looks = self._neighbours.disturbed(), self._on_gpu.disturbed()
        self._by_others.append(any(looks) and not ignores_neighbours())
        self._slowed.append(False)
        if self._canary is not None:
            self._canary.look()
            if self._judges:
                self._slowed = self._canary.slowed(self._best)
        return self._disturbed

    def figures(self) -> dict[str, Any]:
        """Return what was seen, as fields of a `Measurement`."""
        counts = [not was for was in self._disturbed]
        pairs = zip(self._by_others, self._slowed, strict=True)
        return {
            **self._gpu.figures(),
            "own_cpus": self._neighbours.own_cpus,
            "others_cpus": self._neighbours.others_cpus,
            "num_gpu_shared_blocks": self._on_gpu.num_blocks,
            "num_restart_blocks": self._restarts.num_blocks,
            "machine_speed": self._canary.machine_speed(counts) if self._canary else None,
            "num_slowed_blocks": sum(slowed and not told for told, slowed in pairs),
        }

    @property
    def _disturbed(self) -> list[bool]:
        return [a or b for a, b in zip(self._by_others, self._slowed, strict=True)]
