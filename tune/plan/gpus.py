"""Known GPUs: their memory, and their description for the compiler. Pure.

The table is gpus.toml, with its sources. The description is XLA's GpuTargetConfigProto, which the
compiler would otherwise read off the card; `trainables.jax_workload` takes it as text.
"""

import dataclasses
import functools
import re
import tomllib
from pathlib import Path

from cluster.errors import UserError

_TABLE = Path(__file__).with_name("gpus.toml")

# A multiprocessor's figures by compute capability: bytes of shared memory, the most that one
# block may have of it, resident threads, units for float32. CUDA C++ Programming Guide, "Technical
# Specifications per Compute Capability"; openxla/xla's target_config/specs have the same.
_KIB = 1024
_MULTIPROCESSOR = {
    "7.5": (64 * _KIB, 64 * _KIB, 1024, 64),
    "8.0": (164 * _KIB, 163 * _KIB, 2048, 64),
    "8.6": (100 * _KIB, 99 * _KIB, 1536, 128),
    "8.9": (100 * _KIB, 99 * _KIB, 1536, 128),
    "9.0": (228 * _KIB, 227 * _KIB, 2048, 128),
    "12.0": (100 * _KIB, 99 * _KIB, 1536, 128),
}

_TARGET = """\
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {shared}
  shared_memory_per_block_optin: {shared_optin}
  threads_per_core_limit: {threads}
  core_count: {multiprocessors}
  fpus_per_core: {units}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  memory_bandwidth: {bandwidth}
  l2_cache_size: {l2_bytes}
  clock_rate_ghz: {clock_ghz}
  device_memory_size: {memory_bytes}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
device_description_str: "{device}"
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownGpu:
    """One row of gpus.toml. `memory_mib` is what CUDA reports on the card."""

    name: str
    device: str
    compute_capability: str
    multiprocessors: int
    l2_mib: int
    bandwidth_gb_s: int
    clock_ghz: float
    memory_mib: int
    source: str

    @property
    def memory_bytes(self) -> int:
        """`memory_mib` in bytes."""
        return self.memory_mib * 2**20

    def target(self) -> str:
        """Return the description with which XLA compiles for this GPU."""
        shared, shared_optin, threads, units = _MULTIPROCESSOR[self.compute_capability]
        major, minor = self.compute_capability.split(".")
        return _TARGET.format(
            shared=shared,
            shared_optin=shared_optin,
            threads=threads,
            multiprocessors=self.multiprocessors,
            units=units,
            bandwidth=self.bandwidth_gb_s * 10**9,
            l2_bytes=self.l2_mib * 2**20,
            clock_ghz=self.clock_ghz,
            memory_bytes=self.memory_bytes,
            major=major,
            minor=minor,
            device=self.device,
        )


@functools.cache
def known() -> tuple[KnownGpu, ...]:
    """Return all rows of the table."""
    rows = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return tuple(KnownGpu(name=name, **fields) for name, fields in rows.items())


def find(text: str) -> KnownGpu:
    """Return the GPU of a name like `RTX 4090`, `rtx4090` or `NVIDIA GeForce RTX 4090`.

    Raises:
        UserError: if no GPU, or more than one, has such a name; it lists the known ones.
    """
    wanted = _key(text)
    exact = [gpu for gpu in known() if wanted in {_key(gpu.name), _key(gpu.device)}]
    if exact:
        return exact[0]
    several = [gpu.name for gpu in known() if wanted and _key(gpu.name).startswith(wanted)]
    if several:
        raise UserError(f"--plan {text!r}: write it as {' or '.join(several)}.")
    names = ", ".join(gpu.name for gpu in known())
    raise UserError(f"--plan knows no GPU {text!r}; it knows {names}.")


def _key(text: str) -> str:
    """Return the letters and digits of a name, without the words that most names share."""
    return re.sub(r"nvidia|geforce|generation|rtx|[^a-z0-9]", "", text.lower())
