"""The rules of a search as data. Pure."""

import dataclasses

from tune.search.finals import FinalsPlan
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.search.stopping import Stopping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """The rules of a search: its objective, when exploring stops, its trainings and its finals.

    `num_gpus` are those of the host on which it explores side by side, if there are several.
    """

    objective: Objective
    stopping: Stopping
    finals: FinalsPlan
    seed: int
    learning: LearningPlan | None = None
    num_gpus: int = 1
