"""The programs of a grid, compiled for a card that is not here, as data: what each would do."""

import dataclasses
import json
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from benchmarks import recorded
from benchmarks.modelled import hlo
from benchmarks.modelled.roofline import Work, card, work_of
from cluster.errors import UserError
from cluster.structure import revive
from search_spaces import jax_phase12
from search_spaces.config import Config
from search_spaces.space import SearchSpace
from trainables.jax_workload import JaxWorkload
from tune.plan import gpus

PROGRAMS = Path(__file__).parent / "programs"
_COMPILERS = ("jax", "jaxlib", "jax-cuda13-plugin")
_SPACE = ("num_steps=32,128", "batch_size=2048,8192,32768,131072")
"""Of the default space of a GPU every other length of rollouts and size of minibatches."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileGrid:
    """Compile a grid for a card; the same command again goes on."""

    workload: Literal["phase1", "pixels", "physics"]
    """One of benchmarks/modelled/loops.py."""
    card: Literal["L4", "RTX 4090", "H100"]
    """The card."""
    space: tuple[str, ...] = _SPACE
    """Axes to replace in the default space of a GPU, such as num_steps=32,128."""
    folder: Path = PROGRAMS
    """The folder of the files."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompiledConfig:
    """One configuration's program: the device memory that it needs, and its work."""

    config: Config
    device_bytes: int
    work: Work


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """All programs of one workload on one card; `versions` are those that compiled them."""

    workload: str
    card: str
    axes: dict[str, tuple[int, ...]]
    versions: dict[str, str]
    compiled: tuple[CompiledConfig, ...] = ()


def compile_grid(command: CompileGrid) -> None:
    """Compile each configuration that the file lacks, and write the file after each.

    Raises:
        UserError: if the file is of another grid, or the CUDA plugin is not installed.
    """
    space = jax_phase12.space(platform="cuda", num_cpus=16).override(command.space)
    path = command.folder / f"{command.workload}-{command.card.replace(' ', '-').lower()}.json"
    found = _begin_or_go_on(path, command, space)
    done = [one.config for one in found.compiled]
    for config in space.configurations():
        if config in done:
            continue
        found = dataclasses.replace(
            found, compiled=(*found.compiled, _compiled(command.workload, command.card, config))
        )
        write(path, found)
        print(f"{path.stem}  {len(found.compiled):3}  {config}", flush=True)


def read(path: Path) -> Programs:
    """Read the programs of a grid."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    names = fields.pop("columns")
    work = [field.name for field in dataclasses.fields(Work)]
    compiled = []
    for row in fields.pop("compiled"):
        values = dict(zip(names, row, strict=True))
        figures = Work(**{name: values[name] for name in work})
        config = {name: values[name] for name in fields["axes"]}
        compiled.append(
            CompiledConfig(config=config, device_bytes=values["device_bytes"], work=figures)
        )
    return dataclasses.replace(revive(Programs, fields), compiled=tuple(compiled))


def write(path: Path, programs: Programs) -> None:
    """Write the programs of a grid as JSON in one step, one per line."""
    work = [field.name for field in dataclasses.fields(Work)]
    head: dict[str, Any] = {
        name: getattr(programs, name) for name in ("workload", "card", "axes", "versions")
    }
    head["columns"] = [*programs.axes, "device_bytes", *work]
    rows = (
        [
            *(one.config[name] for name in programs.axes),
            one.device_bytes,
            *(getattr(one.work, name) for name in work),
        ]
        for one in programs.compiled
    )
    path.parent.mkdir(exist_ok=True)
    recorded.write_rows(path, head, "compiled", rows)


def compiler_versions() -> dict[str, str]:
    """Return the versions of what compiles for a GPU.

    Raises:
        UserError: if the CUDA plugin is not installed.
    """
    try:
        return {name: metadata.version(name) for name in _COMPILERS}
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed: python -m pip install -e '.[cuda13,test]'."
        ) from error


def _begin_or_go_on(path: Path, command: CompileGrid, space: SearchSpace) -> Programs:
    versions = compiler_versions()
    axes = {axis.name: tuple(map(int, axis.values)) for axis in space.axes}
    empty = Programs(workload=command.workload, card=command.card, axes=axes, versions=versions)
    if not path.exists():
        return empty
    known = read(path)
    if dataclasses.replace(known, compiled=()) != empty:
        raise UserError(f"{path} is of another grid, or of other versions; move it away.")
    return known


def _compiled(workload: str, name: str, config: Config) -> CompiledConfig:
    # Lazy: the command that only reads needs no JAX.
    import jax

    from benchmarks.modelled import loops

    jax.clear_caches()
    made: JaxWorkload = getattr(loops, workload)(config, {"seed": 0, "data": None})
    text = made.compiled_for(gpus.find(name).target())
    kernels = hlo.program(text.text)
    assert not kernels.unknown_loops
    return CompiledConfig(
        config=config,
        device_bytes=text.program.device_bytes or 0,
        work=work_of(kernels.kernels, card(name)),
    )
