"""Conclusions of results that a test makes up."""

import dataclasses
from typing import Any

from screens import PROFILES
from tune.run_folder.record import SearchContext
from tune.search.objective import Objective
from tune.search.result import SearchResult
from tune.summary import conclusion

CONTEXT = SearchContext(
    objective=Objective.THROUGHPUT,
    baseline_called="the framework default",
    soak_updates=200,
    synthetic_data=False,
    device_budget_bytes=10 * 2**30,
    host_budget_bytes=13 * 2**30,
    thread_room=1_000,
    cpus=(0, 1, 2, 3),
)


def conclude(result: SearchResult, **context: Any) -> conclusion.Conclusion:
    return conclusion.conclude(
        result, dataclasses.replace(CONTEXT, **context), profiles=PROFILES, files=[]
    )
