"""Any pure JAX update function as a `Workload`: compiled before memory is allocated, then run.

    workload = JaxWorkload(update, init, env_steps_per_update=num_envs * num_steps)

`init() -> state` and `update(state) -> (state, metrics)` are pure; the state is any pytree. It
holds all that changes, and also large constant arrays: an array that the function closes over is
copied into the program.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from trainables.compilations import COMPILE_EVENT
from trainables.flops import dead_share, matmul_flops, product_dtypes, product_speed
from trainables.jax_state import Shardings, check_update, is_pair, on_all
from trainables.workload import CompiledProgram, DeviceUsage, InvalidConfigurationError

_CACHE_HIT_EVENT = "/jax/compilation_cache/cache_hits"
_MOST_PROMOTIONS = 4
_LARGEST_DIGESTED_BYTES = 2**20  # parameters are among the small arrays, market data are not
_compile_seconds: list[float] = []
_cache_hits: list[str] = []


def _on_duration(event: str, duration_s: float, **_: Any) -> None:
    if event == COMPILE_EVENT:
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
        num_devices: devices that train together, as one program over all of them.
        shardings: of several devices, returns where each leaf of the state lies: called with the
            shapes of the state and the devices, it returns a pytree of `jax.sharding.Sharding`.
            XLA shares the update's work out by it. Without it every device does all of the work.
        evaluation: returns the mean return of held-out episodes with a state's policy.
    """

    def __init__(
        self,
        update: Callable[[Any], tuple[Any, Mapping[str, Any]]],
        init: Callable[[], Any],
        *,
        env_steps_per_update: int,
        num_devices: int = 1,
        shardings: Shardings | None = None,
        evaluation: Callable[[Any], jax.Array] | None = None,
    ):
        self._update = update
        self._init = init
        self._env_steps_per_update = env_steps_per_update
        self._num_devices = num_devices
        self._shardings = shardings or on_all
        self._evaluation = None if evaluation is None else jax.jit(evaluation)
        self._placed: Any = None
        self._compiled: Any = None
        self._dtypes: dict[int, Any] = {}  # of leaves that a Python number had no say in
        self._structure: Any = None  # of the first state made: optimizers in it are new each time
        self._product_dtypes: set[Any] = set()
        self._state: Any = None
        self._metrics: Mapping[str, Any] = {}

    @property
    def env_steps_per_update(self) -> int:
        """Environment steps that one update consumes."""
        return self._env_steps_per_update

    def compile(self) -> CompiledProgram:
        """Compile one update from shapes alone: neither state nor temporaries are allocated.

        Raises:
            StateError: if `update` returns a state of other shapes or dtypes than it was given:
                each update would need its own program.
            InvalidConfigurationError: if there are fewer devices.
        """
        state = self._promote()
        if self._num_devices > 1:
            self._placed = self._shardings(state, self._devices())
        traced = self._trace(state, self._placed)
        hits = len(_cache_hits)
        self._compiled = traced.lower().compile()
        self._product_dtypes = set(product_dtypes(traced.jaxpr.jaxpr))
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
            StateError: as `compile`.
        """
        return self.compiled_for(target).program

    def compiled_for(self, target: str) -> CompiledText:
        """Compile as `compile_for`; return the program's instructions, too.

        Raises:
            StateError: as `compile`.
        """
        from jax.experimental import topologies  # experimental: it may be absent

        topology = topologies.get_topology_desc(
            f"1x1x{self._num_devices}",
            platform="cuda",
            topology=f"1x1x{self._num_devices}",
            target_config=target,
        )
        state = self._promote()
        traced = self._trace(state, self._shardings(state, topology.devices))
        compiled = traced.lower().compile()
        program = CompiledProgram(
            device_bytes=_device_bytes(compiled),
            flops_per_update=matmul_flops(traced.jaxpr.jaxpr),
        )
        return CompiledText(program=program, text=compiled.as_text())

    def _promote(self) -> Any:
        """Return the shapes of the first state; its Python numbers get the update's dtypes.

        `jax.lax.scan` does the same: `0` becomes a float where the update adds one.
        """
        state = self._shapes()
        for _ in range(_MOST_PROMOTIONS):
            if not any(map(_is_weak, jax.tree.leaves(state))):
                return state
            made = jax.eval_shape(self._update, state)
            if not is_pair(made) or jax.tree.structure(made[0]) != jax.tree.structure(state):
                break  # said by what traces it next
            # The others stay weak: what they meet in the update may have been promoted just now.
            changed = {
                place: after.dtype
                for place, (before, after) in enumerate(
                    zip(jax.tree.leaves(state), jax.tree.leaves(made[0]), strict=True)
                )
                if _is_weak(before) and before.dtype != after.dtype
            }
            if not changed:
                break
            self._dtypes |= changed
            state = self._shapes()
        leaves = enumerate(jax.tree.leaves(state))
        self._dtypes |= {place: leaf.dtype for place, leaf in leaves if _is_weak(leaf)}
        return self._shapes()

    def _shapes(self) -> Any:
        """Return the shapes of the first state as it is now: a method's trace would be cached."""
        return jax.eval_shape(lambda: self._first_state())

    def _first_state(self) -> Any:
        leaves, structure = jax.tree.flatten(self._init())
        if self._structure is None:
            self._structure = structure
        typed = [
            _as_dtype(leaf, self._dtypes[place]) if place in self._dtypes else leaf
            for place, leaf in enumerate(leaves)
        ]
        return self._structure.unflatten(typed)

    def text(self) -> str:
        """Return the instructions of the compiled update after all passes, as XLA prints them."""
        if self._compiled is None:
            self.compile()
        return str(self._compiled.as_text())

    def _devices(self) -> Sequence[Any]:
        devices: Sequence[Any] = jax.devices()
        if len(devices) < self._num_devices:
            raise InvalidConfigurationError(
                f"num_devices {self._num_devices}: this process sees {len(devices)}."
            )
        return devices[: self._num_devices]

    def _trace(self, state: Any, placed: Any) -> Any:
        """Trace the update of a state that lies as `placed` says, or on the default device."""
        stays = {}
        if placed is not None:
            check_update(jax.eval_shape(self._update, state), state)
            stays = {"out_shardings": (placed, None)}
            state = jax.tree.map(
                lambda leaf, there: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there),
                state,
                placed,
            )
        # Donated: the new state is written where the old one was, so it is held once, not twice.
        traced = jax.jit(self._update, donate_argnums=0, **stays).trace(state)
        check_update(traced.out_info, state)
        return traced

    def run(self, num_updates: int) -> None:
        """Train for `num_updates` updates: queue them all, then wait for the last."""
        if self._compiled is None:
            self.compile()
        if self._state is None:
            self._state = jax.jit(self._first_state, out_shardings=self._placed)()
        for _ in range(num_updates):
            self._state, self._metrics = self._compiled(self._state)
        jax.block_until_ready((self._state, self._metrics))

    def health(self) -> dict[str, float]:
        """Return the metrics of the last update; none before the first."""
        return {name: float(np.asarray(value).mean()) for name, value in self._metrics.items()}

    def evaluate(self) -> float | None:
        """Return the mean return of held-out episodes; `None` where there are none."""
        if self._evaluation is None or self._state is None:
            return None
        return float(self._evaluation(self._state))

    def fingerprint(self) -> bytes:
        """Return a digest of the state's small floating-point arrays; empty if there are none."""
        leaves = [leaf for leaf in jax.tree.leaves(self._state) if _is_digested(leaf)]
        if not leaves:
            return b""
        return hashlib.blake2b(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).digest()

    def peak_flops(self) -> float | None:
        """Return the speed of a large product in the fastest of the update's number formats.

        It is measured on one device, and counted for each.
        """
        speeds = [product_speed(dtype) for dtype in self._product_dtypes]
        return self._num_devices * max(speeds) if speeds else None

    def device_usage(self) -> DeviceUsage:
        """Return the platform, the largest peak of a device's allocator, and the compilations."""
        devices = jax.devices()[: self._num_devices]
        peaks = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in devices]
        return DeviceUsage(
            platform="cuda" if devices[0].platform == "gpu" else devices[0].platform,
            peak_device_bytes=max((peak for peak in peaks if peak is not None), default=None),
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


def _is_digested(leaf: Any) -> bool:
    is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
    return is_float and leaf.nbytes <= _LARGEST_DIGESTED_BYTES


def _is_weak(leaf: Any) -> bool:
    """Return whether a leaf has but a Python number's type."""
    return bool(getattr(leaf, "weak_type", False))


def _as_dtype(leaf: Any, dtype: Any) -> Any:
    has_it = getattr(leaf, "dtype", None) == dtype and not _is_weak(jax.typeof(leaf))
    return leaf if has_it else jax.lax.convert_element_type(leaf, dtype)
