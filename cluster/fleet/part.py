"""A box's part of a search that boxes share. Stdlib only, pure."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from cluster.structure import structure_known


class SharedSearch(NamedTuple):
    """A search that boxes share: what all its parts and its finals have in common."""

    name: str
    machine_class: str
    submission: str | None

    def __str__(self) -> str:
        return f"{self.name} on {self.machine_class}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A box's part of a search: `number` of `count`; `None` is the number of its finals.

    `name` is the job's name on all boxes. There may be one of that name for each class, and on
    boxes that were rented before: `submission` is drawn anew by each `submit`. Parts of an earlier
    version have none.
    """

    name: str
    machine_class: str
    number: int | None
    count: int
    submission: str | None = None

    @classmethod
    def of(cls, split: Mapping[str, Any] | None) -> "Part | None":
        """Return the part that a job's request names below `split`, `None` for a whole search."""
        return None if split is None else structure_known(cls, split)

    @property
    def search(self) -> SharedSearch:
        """Search that this is a part of, or the finals of."""
        return SharedSearch(self.name, self.machine_class, self.submission)

    @property
    def finals(self) -> "Part":
        """Finals of this part's search."""
        return dataclasses.replace(self, number=None)

    @property
    def job_name(self) -> str:
        """Name of the job on its box."""
        return f"{self.name}-finals" if self.number is None else self.name

    def __str__(self) -> str:
        if self.number is None:
            return "finals"
        return "the whole" if self.count == 1 else f"part {self.number}/{self.count}"
