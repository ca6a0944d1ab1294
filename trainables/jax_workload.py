"""Any pure JAX update function as a `Workload`: compiled before memory is allocated, then run.

    workload = JaxWorkload(update, init, env_steps_per_update=num_envs * num_steps)

`init() -> state` and `update(state) -> (state, metrics)` are pure; the state is any pytree. It
holds all that changes, and also large constant arrays: an array that the function closes over is
copied into the program.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.interpreters.partial_eval

from trainables.workload import CompiledProgram, DeviceUsage

_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
_CACHE_HIT_EVENT = "/jax/compilation_cache/cache_hits"
_compile_seconds: list[float] = []
_cache_hits: list[str] = []


def _on_duration(event: str, duration_s: float, **_: Any) -> None:
    if event == _COMPILE_EVENT:
        _compile_seconds.append(duration_s)


def _on_event(event: str, **_: Any) -> None:
    if event == _CACHE_HIT_EVENT:
        _cache_hits.append(event)


jax.monitoring.register_event_duration_secs_listener(_on_duration)  # at import: nothing is missed
jax.monitoring.register_event_listener(_on_event)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompiledText:
    """A program's figures, and its instructions after all passes as XLA prints them."""

    program: CompiledProgram
    text: str


class JaxWorkload:
    """A training loop whose update is one compiled program over a donated state.

    Args:
        update: one pure training update; `metrics` is a dict of scalars.
        init: makes the first state. It is traced for shapes by `compile`, and first executed (under
            `jax.jit`) by `run`: a configuration that does not fit is known before it is allocated.
        env_steps_per_update: environment steps in one update.
    """

    def __init__(
        self,
        update: Callable[[Any], tuple[Any, Mapping[str, Any]]],
        init: Callable[[], Any],
        *,
        env_steps_per_update: int,
    ):
        self._update = update
        self._init = init
        self._env_steps_per_update = env_steps_per_update
        self._compiled: Any = None
        self._state: Any = None
        self._metrics: Mapping[str, Any] = {}

    @property
    def env_steps_per_update(self) -> int:
        """Environment steps that one update consumes."""
        return self._env_steps_per_update

    def compile(self) -> CompiledProgram:
        """Compile one update from shapes alone: neither state nor temporaries are allocated.

        Raises:
            TypeError: if `update` returns a state of other shapes or dtypes than it was given: each
                update would need its own program.
        """
        traced = self._trace(jax.eval_shape(self._init))
        hits = len(_cache_hits)
        self._compiled = traced.lower().compile()
        return CompiledProgram(
            device_bytes=_device_bytes(self._compiled),
            flops_per_update=matmul_flops(traced.jaxpr.jaxpr),
            from_cache=len(_cache_hits) > hits,
            dead_share=dead_share(traced.jaxpr.jaxpr),
        )

    def compile_for(self, target: str) -> CompiledProgram:
        """Compile one update for a GPU that is not here. JAX's CUDA plugin needs no driver for it.

        The program's bytes are right. Its speed is not: without the card XLA uses slower sorts.

        Raises:
            TypeError: as `compile`.
        """
        return self.compiled_for(target).program

    def compiled_for(self, target: str) -> CompiledText:
        """Compile as `compile_for`; return the program's instructions, too.

        Raises:
            TypeError: as `compile`.
        """
        from jax.experimental import topologies  # experimental: it may be absent

        topology = topologies.get_topology_desc(
            "1x1x1", platform="cuda", topology="1x1x1", target_config=target
        )
        there = jax.sharding.SingleDeviceSharding(topology.devices[0])
        state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there),
            jax.eval_shape(self._init),
        )
        traced = self._trace(state)
        compiled = traced.lower().compile()
        program = CompiledProgram(
            device_bytes=_device_bytes(compiled),
            flops_per_update=matmul_flops(traced.jaxpr.jaxpr),
        )
        return CompiledText(program=program, text=compiled.as_text())

    def text(self) -> str:
        """Return the instructions of the compiled update after all passes, as XLA prints them."""
        if self._compiled is None:
            self.compile()
        return str(self._compiled.as_text())

    def _trace(self, state: Any) -> Any:
        # Donated: the new state is written where the old one was, so it is held once, not twice.
        traced = jax.jit(self._update, donate_argnums=0).trace(state)
        _check_state_is_stable(state, traced.out_info[0])
        return traced

    def run(self, num_updates: int) -> None:
        """Train for `num_updates` updates: queue them all, then wait for the last."""
        if self._compiled is None:
            self.compile()
        if self._state is None:
            self._state = jax.jit(self._init)()
        for _ in range(num_updates):
            self._state, self._metrics = self._compiled(self._state)
        jax.block_until_ready((self._state, self._metrics))

    def health(self) -> dict[str, float]:
        """Return the metrics of the last update; none before the first."""
        return {name: float(value) for name, value in self._metrics.items()}

    def device_usage(self) -> DeviceUsage:
        """Return the default device, its allocator's peak, and the compilations so far."""
        device = jax.devices()[0]
        memory = device.memory_stats() or {}
        return DeviceUsage(
            platform="cuda" if device.platform == "gpu" else device.platform,
            peak_device_bytes=memory.get("peak_bytes_in_use"),
            num_compilations=len(_compile_seconds),
        )


def _device_bytes(compiled: Any) -> int | None:
    memory = compiled.memory_analysis()
    if memory is None:  # a backend need not implement it
        return None
    return int(
        memory.temp_size_in_bytes
        + memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
    )


def matmul_flops(jaxpr: Any) -> float:
    """Return the floating-point operations of a jaxpr's matrix products and convolutions.

    Loop bodies count by their trip counts; XLA's `cost_analysis` counts a scan's body once. A
    `while_loop`, whose trip count is not known, counts once, a `cond` as its most costly branch.
    All other operations are left out (a few percent of a network's work).
    """
    total = 0.0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += 2.0 * depth * equation.outvars[0].aval.size
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            out_channels = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
            total += 2.0 * kernel.size / out_channels * equation.outvars[0].aval.size
        elif name == "cond":
            total += max(matmul_flops(branch.jaxpr) for branch in params["branches"])
        else:
            trips = params["length"] if name == "scan" else 1
            total += trips * sum(matmul_flops(inner) for inner in _inner_jaxprs(params))
    return total


def dead_share(jaxpr: Any) -> float | None:
    """Return the share of a jaxpr's `matmul_flops` that reach none of its outputs.

    `None` without any, or where this JAX does not offer its elimination of dead code.
    """
    flops = matmul_flops(jaxpr)
    eliminate = getattr(jax.interpreters.partial_eval, "dce_jaxpr", None)  # not a stable API
    if not flops or eliminate is None:
        return None
    living, _ = eliminate(jaxpr, [True] * len(jaxpr.outvars))
    return 1.0 - matmul_flops(living) / flops


def _inner_jaxprs(params: Mapping[str, Any]) -> list[Any]:
    """Return the jaxprs among an equation's parameters: bodies of scan, jit, custom_vjp, ..."""
    closed = (getattr(value, "jaxpr", value) for value in params.values())
    return [jaxpr for jaxpr in closed if hasattr(jaxpr, "eqns")]


def _check_state_is_stable(before: Any, after: Any) -> None:
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise TypeError(
            "update must return a state of the structure it was given: "
            f"got {jax.tree.structure(after)} for {jax.tree.structure(before)}."
        )
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
    ):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise TypeError(
                f"update must return a state of the shapes it was given: state"
                f"{jax.tree_util.keystr(path)} was {old.dtype}{list(old.shape)}, "
                f"became {new.dtype}{list(new.shape)}."
            )
