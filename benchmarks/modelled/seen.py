"""The programs whose speed a card has shown: compiled for it, beside what they took there."""

import dataclasses
import json
from pathlib import Path

from benchmarks.modelled import hlo
from benchmarks.modelled.programs import compiler_versions
from benchmarks.modelled.roofline import Observed, Work, card, work_of
from cluster.node import atomic
from tune.plan import gpus

SEEN = Path(__file__).parent / "h100.json"
_RECORDS = Path(__file__).parent.parent / "gpu"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileSeen:
    """Compile the programs of a record's part "speed" for its card.

    It has to be the code whose speed was recorded: h100.json is of the commit that it names.
    """

    record: str = "h100-80gb-hbm3-80gb-700w.json"
    """The record, in benchmarks/gpu."""
    commit: str
    """The commit whose code this is."""
    out: Path = SEEN
    """The file to write."""


def compile_seen(command: CompileSeen) -> None:
    """Compile each recorded program, our loop's and the reference's, and write their work.

    Raises:
        UserError: if the CUDA plugin is not installed.
    """
    # Lazy: what only reads needs no JAX.
    from benchmarks.ppo import both_workloads, environments
    from trainables.jax_phase12.config import PpoConfig

    versions, h100 = compiler_versions(), card("H100")
    known = dict(environments())
    programs: dict[str, dict[str, object]] = {}
    for name, row in _speeds(command.record).items():
        pair = both_workloads(known[name.split(",")[0]], PpoConfig.from_mapping(row["config"]))
        texts = [one.compiled_for(gpus.find(h100.name).target()).text for one in pair]
        work = [work_of(hlo.program(text).kernels, h100) for text in texts]
        programs[name] = dict(
            zip(("ours", "reference"), map(dataclasses.asdict, work), strict=True)
        )
        print(name, *(one.launches for one in work), flush=True)
    about = {
        "record": command.record,
        "commit": command.commit,
        "jax": versions["jax"],
        "card": h100.name,
    }
    fields = {"about": about, "programs": programs}
    atomic.write_text(command.out, json.dumps(fields, indent=1) + "\n")


def observed() -> list[Observed]:
    """Return the programs whose speed an H100 has shown, as they are compiled for one."""
    seen = json.loads(SEEN.read_text(encoding="utf-8"))
    rows = _speeds(seen["about"]["record"])
    return [
        Observed(
            program=f"{name}, {loop}",
            work=Work(**work),
            update_s=rows[name]["measured"][loop]["update_s"],
            launches=rows[name]["compiled"][loop]["launches"],
            flops=rows[name]["compiled"][loop]["flops_per_update"],
        )
        for name, loops in seen["programs"].items()
        for loop, work in loops.items()
    ]


def _speeds(record: str) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    fields = json.loads((_RECORDS / record).read_text(encoding="utf-8"))
    rows: dict[str, dict[str, dict[str, dict[str, float]]]] = fields["parts"]["speed"]["rows"]
    return rows
