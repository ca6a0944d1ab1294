"""A box's part of a search that boxes share. Stdlib only, pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cluster.structure import structure_known


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A box's part of a search: `number` of `count`, or `None` for what finishes it: the finals.

    `name` is the job's name on all boxes. There may be one of that name for each class.
    """

    name: str
    machine_class: str
    number: int | None
    count: int

    @classmethod
    def of(cls, split: Mapping[str, Any] | None) -> "Part | None":
        """Return the part that a job's request names below `split`, `None` for a whole search."""
        return None if split is None else structure_known(cls, split)

    @property
    def search(self) -> tuple[str, str]:
        """What all parts of one search, and its finals, have in common."""
        return self.name, self.machine_class

    @property
    def finals(self) -> "Part":
        """What finishes the search of this part."""
        return dataclasses.replace(self, number=None)

    @property
    def job_name(self) -> str:
        """The job's name on its box."""
        return f"{self.name}-finals" if self.number is None else self.name

    def __str__(self) -> str:
        if self.number is None:
            return "finals"
        return "the whole" if self.count == 1 else f"part {self.number}/{self.count}"
