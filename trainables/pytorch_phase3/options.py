"""The options of Phase 3, beside the tuned configuration. No torch."""

import dataclasses
from pathlib import Path

from trainables.market.options import MarketOptions
from trainables.pytorch_phase3.sources import EMBEDDED
from trainables.workload import WorkloadInputError

QUANTIZED_BITS = {"8bit": 8, "4bit": 4}
DTYPES = ("auto", "float32", "bfloat16", "float16", *QUANTIZED_BITS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase3Options(MarketOptions):
    """Options of a Phase 3 trial: the market's, and these.

    llm: "embedded", "none", a folder, a GGUF file or a hub id, see `sources.resolve`.
    llm_dtype: one of DTYPES; "auto" is float32 on a CPU, bfloat16 on a GPU, float16 on one before
        Ampere, which has none; "8bit" and "4bit" need bitsandbytes.
    query_interval: bars between two questions; each rollout begins with one.
    cache_size: contexts whose advice is kept.
    async_queries: trade on while the model answers.
    env_workers: subprocesses that the environments are dealt out to; 0 keeps them in the trial's.
    unpacked: folder where a GGUF file is kept unpacked (loading it takes 17 s, unpacked 0.2 s);
        None is ~/.cache/rl-hardware-tuner.
    timesteps_reduction: the share of the production run that the winner is confirmed with; no trial
        depends on it, a profile carries it.
    """

    llm: str = EMBEDDED
    llm_dtype: str = "auto"
    query_interval: int = 120
    cache_size: int = 4096
    async_queries: bool = False
    env_workers: int = 0
    unpacked: str | None = None
    timesteps_reduction: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(query_interval=1, cache_size=0, env_workers=0)
        if self.llm_dtype not in DTYPES:
            raise WorkloadInputError(
                f"llm_dtype is one of {', '.join(DTYPES)}, got {self.llm_dtype!r}."
            )

    def unpacked_folder(self) -> Path:
        """Return the folder where GGUF files are kept unpacked."""
        if self.unpacked is not None:
            return Path(self.unpacked)
        return Path.home() / ".cache" / "rl-hardware-tuner"
