"""What a person may choose for Phase 3, beside the tuned configuration. No torch."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.market.bars import Bars, load_bars
from trainables.market.synthetic import synthetic_bars
from trainables.pytorch_phase3.sources import EMBEDDED
from trainables.workload import WorkloadInputError

QUANTIZED_BITS = {"8bit": 8, "4bit": 4}
DTYPES = ("auto", "float32", "bfloat16", "float16", *QUANTIZED_BITS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a Phase 3 trial.

    data: a CSV or Parquet file of bars; None trades a synthetic market of `synthetic_days`.
    seed: of the synthetic market and of training.
    llm: "embedded", "none", a folder, a GGUF file or a hub id, see `sources.resolve`.
    llm_dtype: one of DTYPES; "auto" is float32 on a CPU and bfloat16 on a GPU; "8bit" and "4bit"
        need bitsandbytes.
    query_interval: bars between two questions; each rollout begins with one.
    cache_size: contexts whose advice is kept.
    async_queries: trade on while the model answers.
    env_workers: subprocesses that the environments are dealt out to; 0 keeps them in the trial's.
    unpacked: folder where a GGUF file is kept unpacked (loading it takes 17 s, unpacked 0.2 s);
        None is ~/.cache/rl-hardware-tuner.
    timesteps_reduction: the share of the production run that the winner is confirmed with; no trial
        depends on it, a profile carries it.
    """

    data: str | None = None
    synthetic_days: int = 250
    seed: int = 0
    llm: str = EMBEDDED
    llm_dtype: str = "auto"
    query_interval: int = 120
    cache_size: int = 4096
    async_queries: bool = False
    env_workers: int = 0
    unpacked: str | None = None
    timesteps_reduction: float = 0.05

    def __post_init__(self) -> None:
        for name, least in (
            ("synthetic_days", 1),
            ("query_interval", 1),
            ("cache_size", 0),
            ("env_workers", 0),
        ):
            if getattr(self, name) < least:
                raise WorkloadInputError(
                    f"{name} must be at least {least}, got {getattr(self, name)}."
                )
        if self.llm_dtype not in DTYPES:
            raise WorkloadInputError(
                f"llm_dtype is one of {', '.join(DTYPES)}, got {self.llm_dtype!r}."
            )

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> "Options":
        """Build from a trial's options.

        Raises:
            WorkloadInputError: if there is an option that is not known, or a value out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(options.keys() - set(known)):
            raise WorkloadInputError(f"there is no option {unknown}; there are {known}.")
        return cls(**options)

    def load_bars(self) -> Bars:
        """Read the file or make the synthetic market.

        Raises:
            WorkloadInputError: if the file is missing or wrong, see `market.load_bars`.
        """
        if self.data is None:
            return synthetic_bars(seed=self.seed, num_days=self.synthetic_days)
        return load_bars(self.data)

    def unpacked_folder(self) -> Path:
        """Where GGUF files are kept unpacked."""
        if self.unpacked is not None:
            return Path(self.unpacked)
        return Path.home() / ".cache" / "rl-hardware-tuner"
