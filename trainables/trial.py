"""One trial, in its own process: build, compile, predict, warm up, measure, report.

    python -m trainables.trial --wire-fd 3 --parent-pid 100 --spawned-at 12.5 < request.json

Only the standard library is imported before the CPU affinity is set. NumPy and XLA size their
thread pools by it when they are imported, so a later cap would have no effect.
"""

import dataclasses
import sys
import time

from cluster.errors import UserError
from search_spaces.config import without_variables
from trainables import training, verdicts
from trainables.built import Built
from trainables.health import health_of, require_return
from trainables.measurement import (
    Measurement,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
)
from trainables.sampling import Throughput
from trainables.serving import Send, serve
from trainables.workload import (
    CompiledProgram,
    Compiles,
    DeviceUsage,
    InvalidConfigurationError,
    KnowsPeak,
    LimitsDeviceMemory,
    MeasuresItself,
    UnstableTrainingError,
    WorkloadInputError,
    build,
    load_factory,
)


def main() -> int:
    """Run the trial that stdin asks for; send its messages up the wire."""
    return serve(TrialRequest, run_trial, prog="python -m trainables.trial")


def run_trial(request: TrialRequest, send: Send, spawned_at: float) -> Report:
    """Return how the trial ended. Any other error is raised and ends the process."""
    try:
        built = _build(request, send, spawned_at)
        if isinstance(built.workload, MeasuresItself):
            return built.workload.measure_trial(request, send)
        if refusal := _refusal(request, built):
            return built.report(refusal)
        if request.training is not None:
            return training.train(request, built, send)
        return _measure(request, built, send)
    except InvalidConfigurationError as error:
        return Report(kind=OutcomeKind.INVALID, message=str(error))
    except UnstableTrainingError as error:
        return Report(kind=OutcomeKind.UNSTABLE, message=str(error))
    except WorkloadInputError as error:
        return Report(kind=OutcomeKind.ERROR, message=str(error), ends_search=True)
    except UserError as error:
        return Report(kind=OutcomeKind.ERROR, message=str(error))


def _build(request: TrialRequest, send: Send, spawned_at: float) -> Built:
    started = time.monotonic()
    send(Progress(phase=Phase.IMPORT))
    factory = load_factory(request.workload)
    send(Progress(phase=Phase.BUILD))
    workload = build(factory, without_variables(request.config), request.options)
    built = time.monotonic()
    send(Progress(phase=Phase.COMPILE))
    if request.device_budget_bytes is not None and isinstance(workload, LimitsDeviceMemory):
        workload.limit_device_memory(request.device_budget_bytes)
    program = workload.compile() if isinstance(workload, Compiles) else CompiledProgram()
    return Built(
        workload=workload,
        program=program,
        startup_s=started - spawned_at,
        build_s=built - started,
        compile_s=time.monotonic() - built,
    )


def _refusal(request: TrialRequest, built: Built) -> verdicts.TrialVerdict | None:
    """Return why the compiled program must not run here, if it must not."""
    return (
        verdicts.wrong_device(request.platform, built.device_usage)
        or verdicts.dead_code(built.program.dead_share)
        or verdicts.over_budget(built.program.device_bytes, request.device_budget_bytes)
    )


def _measure(request: TrialRequest, built: Built, send: Send) -> Report:
    # These bring NumPy and NVML: not before the affinity holds.
    from trainables import throughput
    from trainables.block_watch import BlockWatch
    from trainables.compilations import Compilations

    workload, need = built.workload, built.program.device_bytes
    send(Progress(phase=Phase.WARMUP, predicted_device_bytes=need))
    # Of the first update: a task may be solved, and its training still, once it is measured.
    firsts: list[tuple[bytes, dict[str, float]]] = []

    def run(num_updates: int) -> None:
        workload.run(num_updates)
        if not firsts:
            firsts.append((built.fingerprint, health_of(workload)))

    warmup = throughput.warm_up(run, time.monotonic)
    [(fingerprint, first_health)] = firsts
    health = health_of(workload)  # asked once already here: what it compiles is no recompilation
    compilations = Compilations()
    before = built.device_usage
    verdict = verdicts.wrong_device(request.platform, before) or verdicts.unhealthy(health)
    if verdict:
        return built.report(verdict)
    send(Progress(phase=Phase.MEASURE, predicted_device_bytes=need))
    watch = BlockWatch(request)
    started = time.monotonic()
    for estimate in throughput.measure(
        workload.run,
        clock=time.monotonic,
        env_steps_per_update=workload.env_steps_per_update,
        update_s=warmup.update_s,
        sampling=request.sampling,
        num_updates=request.num_updates,
        disturbed=watch.disturbed,
        ends_at=request.ends_at,
    ):
        health = health_of(workload)
        verdict = verdicts.unhealthy(health) or verdicts.too_slow(estimate, request.slow_below)
        if verdict:
            break
    measure_s = time.monotonic() - started
    usage = built.device_usage
    recompiled = verdicts.recompiled(
        _num_compilations(before), _num_compilations(usage)
    ) or verdicts.recompiled(0, compilations.count)
    if request.needs_return:
        require_return(workload)  # now that episodes have ended; it may compile an evaluation
    if defect := (
        recompiled
        or verdicts.nothing_trained(fingerprint, built.fingerprint)
        or _beyond_peak(built, estimate)
    ):
        return built.report(defect)
    measurement = Measurement(
        **dataclasses.asdict(estimate),
        **built.figures(usage),
        **watch.figures(),
        warmup_s=warmup.duration_s,
        measure_s=measure_s,
        health=health,
        first_health=first_health,
        device_growth_bytes=_device_growth(before, usage),
    )
    return built.report(verdict or verdicts.completed(estimate, request), measurement)


def _beyond_peak(built: Built, estimate: Throughput) -> verdicts.TrialVerdict | None:
    """Judge the speed by the device's peak. It is measured last, so that it disturbs nothing."""
    workload, flops = built.workload, built.program.flops_per_update
    if not (flops and isinstance(workload, KnowsPeak)):
        return None
    updates_per_second = estimate.steps_per_second / workload.env_steps_per_update
    return verdicts.beyond_peak(flops * updates_per_second, workload.peak_flops())


def _device_growth(before: DeviceUsage | None, after: DeviceUsage | None) -> int | None:
    peaks = [usage.peak_device_bytes for usage in (before, after) if usage is not None]
    known = [peak for peak in peaks if peak is not None]
    return known[1] - known[0] if len(known) == 2 else None


def _num_compilations(usage: DeviceUsage | None) -> int | None:
    return None if usage is None else usage.num_compilations


if __name__ == "__main__":
    sys.exit(main())
