"""Outcomes in words: a label, the meaning, and what to do. Stdlib only, pure."""

import dataclasses
from collections.abc import Mapping

from cluster.pages.units import speed
from trainables.measurement import OutcomeKind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """An outcome in words: `short` is its label, `means` its meaning, `do` the thing to do."""

    short: str
    means: str
    do: str


EXPLANATIONS: Mapping[OutcomeKind, Explanation] = {
    OutcomeKind.COMPLETED: Explanation(
        short="measured",
        means="The configuration fits and its steady speed was measured.",
        do="Nothing.",
    ),
    OutcomeKind.INVALID: Explanation(
        short="invalid",
        means="The sizes cannot work on any machine.",
        do="Change what its message names; batch_size must divide num_envs * num_steps.",
    ),
    OutcomeKind.THREAD_LIMIT: Explanation(
        short="no threads left",
        means="The machine refused a thread, even at the lowest thread cap.",
        do="Run python -m tune.preflight: it names the limit and the value that would do.",
    ),
    OutcomeKind.DEVICE_MEMORY: Explanation(
        short="device memory",
        means="The program needs more device memory than the budget.",
        do="Fewer num_envs or num_steps, a smaller batch_size, or a GPU with more memory.",
    ),
    OutcomeKind.HOST_MEMORY: Explanation(
        short="host memory",
        means="The trial's processes need more RAM or memory maps than the host allows.",
        do="Rent more RAM, or lower num_envs.",
    ),
    OutcomeKind.UNSTABLE: Explanation(
        short="unstable",
        means="Training broke down: NaN or Inf, in Phase 3 also a collapsed policy or exploded KL.",
        do="Look at the trial's log; a smaller batch_size or learning rate usually helps.",
    ),
    OutcomeKind.TIMEOUT: Explanation(
        short="timed out",
        means="The trial did not finish in its time and was killed.",
        do="Raise --trial-timeout or --max-time, or look at the log for what hangs.",
    ),
    OutcomeKind.SLOW: Explanation(
        short="slow",
        means="Its interval lies clearly below the best, so it was stopped early.",
        do="Nothing.",
    ),
    OutcomeKind.ERROR: Explanation(
        short="error",
        means="The trial failed for a reason that is no limit of the machine.",
        do="Read the trial's log; this is a defect in the workload, its setup or this tool.",
    ),
    OutcomeKind.NODE_LOST: Explanation(
        short="lost",
        means="Its process or its worker was ended from outside; the configuration may be good.",
        do="Nothing: it is run once more. If it happens again, find out who ends processes here.",
    ),
    OutcomeKind.EXCLUDED: Explanation(
        short="not run",
        means="It was predicted to need more memory than the budget.",
        do="Raise --memory-budget if you believe that it fits.",
    ),
}


def counts_text(counts: Mapping[OutcomeKind, int]) -> str:
    """Return `18 measured, 3 device memory`."""
    return ", ".join(f"{count} {EXPLANATIONS[kind].short}" for kind, count in counts.items())


def language_model(health: Mapping[str, float]) -> str:
    """Return the cost of a trial's language model, by its health metrics; empty without a model."""
    if "llm_share" not in health:
        return ""
    parts = [
        f"{100 * health['llm_share']:.0f} % of the time; "
        f"{speed(health['steps_per_second_without_llm'])} env steps/s without it"
    ]
    if "llm_seconds_per_query" in health:
        parts.append(
            f"{health['llm_seconds_per_query']:.2g} s per question, "
            f"{health['llm_tokens_per_second']:.0f} tokens/s"
        )
    if "llm_cache_hits" in health:
        parts.append(f"{100 * health['llm_cache_hits']:.0f} % answered from the cache")
    if "llm_parse_failures" in health:
        parts.append(f"{100 * health['llm_parse_failures']:.0f} % of the answers did not parse")
    return "; ".join(parts)
