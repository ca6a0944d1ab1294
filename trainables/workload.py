"""The interface of a training loop that can be tuned. Stdlib only.

A workload is named on the command line as `package.module:factory` or `file.py:factory`. The
factory is called once, in a fresh process whose threads are already capped, and returns an object
with `Workload`'s two members. Everything else is optional and is found with `isinstance` on the
protocols below.
"""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cluster.errors import UserError
from trainables.measurement import Message, Report, TrialRequest


class InvalidConfigurationError(ValueError):
    """The configuration cannot run on any machine: sizes that do not divide, say."""


class WorkloadInputError(UserError):
    """Input to the workload is wrong (a bad CSV, say); no trial can run."""


class UnstableTrainingError(Exception):
    """Training is broken, though its numbers may be finite: the entropy collapsed, say.

    A workload's `run` may raise it; the trial then ends as `unstable`. NaN and Inf in `health` need
    no raising.
    """


@runtime_checkable
class Workload(Protocol):
    """A training loop, built for one configuration."""

    @property
    def env_steps_per_update(self) -> int:
        """Environment steps that one update consumes: `num_envs * num_steps` for PPO."""

    def run(self, num_updates: int) -> None:
        """Train for `num_updates` updates and return when the device has finished them.

        The number differs from call to call; it must not be compiled into the program.
        """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompiledProgram:
    """The compiler's figures for the program of one update, before it runs.

    `device_bytes` is temp + argument + output - alias of XLA's memory analysis; `flops_per_update`
    counts loop bodies by their trip counts; `from_cache` says whether an earlier process had
    compiled it. `dead_share` is the share of the flops whose results the update does not return:
    the compiler removes them. `None` where the framework cannot tell.
    """

    device_bytes: int | None = None
    flops_per_update: float | None = None
    from_cache: bool | None = None
    dead_share: float | None = None


@runtime_checkable
class Compiles(Protocol):
    """A workload that can be compiled, and judged by its memory, before it runs."""

    def compile(self) -> CompiledProgram:
        """Compile one update without running it."""


@runtime_checkable
class CompilesAhead(Protocol):
    """A workload that can be compiled for a GPU that is not in this machine."""

    def compile_for(self, target: str) -> CompiledProgram:
        """Compile one update for the GPU that `target` describes; nothing here can run it.

        `target` is XLA's GpuTargetConfigProto as text.
        """


@runtime_checkable
class LimitsDeviceMemory(Protocol):
    """A workload whose framework can hold itself to a budget of device memory."""

    def limit_device_memory(self, budget_bytes: int) -> None:
        """Make allocations beyond the budget fail; called before `compile` and `run`."""


@runtime_checkable
class ReportsHealth(Protocol):
    """A workload that knows whether training is healthy."""

    def health(self) -> Mapping[str, float]:
        """Metrics of the last update (mean return, entropy, losses); NaN or Inf means `unstable`.

        `gradient_noise_scale` (samples; McCandlish et al. 2018), where it is reported, lets the
        `balanced` objective weigh speed against learning per sample. Leave out what is not known.
        """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUsage:
    """The device that the framework really used.

    `platform` is "cpu" or "cuda"; `peak_device_bytes` is the allocator's peak over the process's
    life, `None` where there is no such counter (JAX on CPU); `num_compilations` counts every
    program the backend compiled in this process.
    """

    platform: str
    peak_device_bytes: int | None
    num_compilations: int | None


@runtime_checkable
class ReportsDevice(Protocol):
    """A workload that says which device it ran on. On a GPU this is not optional.

    A framework that falls back to the CPU does so in silence; such a trial is never measured.
    """

    def device_usage(self) -> DeviceUsage:
        """Return the device as the framework sees it now."""


@runtime_checkable
class MeasuresItself(Protocol):
    """A workload that sets its own pace, and so is timed by its own means."""

    def measure_trial(self, request: TrialRequest, send: Callable[[Message], None]) -> Report:
        """Run and measure one trial; `send` takes its phases."""


@runtime_checkable
class ShowsProgress(Protocol):
    """A workload that can show whether training changed anything."""

    def fingerprint(self) -> bytes:
        """Return a digest of the arrays that training changes; equal digests mean no training."""


@runtime_checkable
class Evaluates(Protocol):
    """A workload that can judge its policy by episodes that training never sees."""

    def evaluate(self) -> float | None:
        """Return the mean return of held-out episodes; `None` where there are none."""


@runtime_checkable
class KnowsPeak(Protocol):
    """A workload that can measure how fast its device multiplies."""

    def peak_flops(self) -> float | None:
        """Return the floating-point operations per second of one large matrix product here."""


Factory = Callable[[Mapping[str, Any], Mapping[str, Any]], Workload]
"""`factory(config, options)`: `config` holds the tuned values, `options` what the person gave."""


def split_name(name: str) -> tuple[str, str]:
    """Split `package.module:factory`, or `folder/file.py:factory`, into its two halves.

    Nothing is imported.

    Raises:
        WorkloadInputError: if the name has another form.
    """
    module_name, colon, attribute = name.rpartition(":")
    if not (module_name and colon and attribute.isidentifier()):
        raise WorkloadInputError(
            f"workload must read package.module:factory or file.py:factory, got {name!r}."
        )
    return module_name, attribute


def load_factory(name: str) -> Factory:
    """Import `package.module:factory` or `folder/file.py:factory`.

    Raises:
        WorkloadInputError: if the name has another form, or the module or factory is not there.
    """
    module_name, attribute = split_name(name)
    if module_name.endswith(".py"):
        file = Path(module_name)
        if not file.is_file():
            raise WorkloadInputError(f"workload {name!r}: there is no file {module_name} here.")
        if (beside := str(file.parent.resolve())) not in sys.path:
            sys.path.insert(0, beside)  # as `python file.py` has it
        module_name = file.stem
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the workload's own import is broken: its traceback says more than we could
        raise WorkloadInputError(
            f"workload {name!r}: no module {error.name!r}; run from its folder or install it."
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise WorkloadInputError(f"workload {name!r}: {module_name} has no function {attribute!r}.")
    return factory  # type: ignore[no-any-return]


def build(factory: Factory, config: Mapping[str, Any], options: Mapping[str, Any]) -> Workload:
    """Build a workload for a configuration, and hold it to the protocol.

    Raises:
        WorkloadInputError: if the factory takes other arguments, or returns no workload.
    """
    name = getattr(factory, "__name__", repr(factory))
    try:
        inspect.signature(factory).bind(config, options)
    except TypeError as error:
        raise WorkloadInputError(
            f"workload {name} is called as {name}(config, options): {error}."
        ) from error
    except ValueError:
        pass  # a factory without a signature, as some of C's have
    made = factory(config, options)
    if problem := _contract_problem(made):
        raise WorkloadInputError(
            f"workload {name} returned {type(made).__name__}, which is no workload: {problem}."
        )
    return made


def _contract_problem(made: Any) -> str | None:
    """Return why an object is no workload, or `None`."""
    steps = getattr(made, "env_steps_per_update", None)
    if steps is None:
        return "it has no env_steps_per_update, the environment steps of one update"
    if callable(steps):
        return "env_steps_per_update is a method: make it a number, or a property"
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        return f"env_steps_per_update must be a whole number of at least 1, got {steps!r}"
    run = getattr(made, "run", None)
    if not callable(run):
        return "it has no run(num_updates), which trains for so many updates"
    try:
        inspect.signature(run).bind(1)
    except TypeError:
        return "run must take one argument, run(num_updates)"
    except ValueError:
        return None
    return None
