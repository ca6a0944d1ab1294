"""Rules for training that is broken though every number is finite. Pure."""

import math
from collections.abc import Mapping

MIN_ENTROPY_NATS = 0.01
"""Least entropy in nats. Below it one action has 99.9 % of the probability: nothing is learned."""

MAX_APPROX_KL = 0.5
"""Most divergence per update. PPO works at 0.01 to 0.05; at 0.5 clipping no longer works."""


def violation(metrics: Mapping[str, float]) -> str | None:
    """Say what is wrong with the metrics of an update, or `None`.

    `entropy` in nats is the mean over allowed actions; `approx_kl` that of the last epoch.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            return f"{name} is {value}."
    if metrics["entropy"] < MIN_ENTROPY_NATS:
        return (
            f"the policy's entropy collapsed to {metrics['entropy']:.2g} nats "
            f"(at least {MIN_ENTROPY_NATS} is healthy)."
        )
    if metrics["approx_kl"] > MAX_APPROX_KL:
        return (
            f"one update moved the policy by a KL divergence of {metrics['approx_kl']:.2g} "
            f"(at most {MAX_APPROX_KL} is healthy)."
        )
    return None
