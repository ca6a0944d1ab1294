"""Compile configurations without running them, to learn the device memory that each needs.

    python -m trainables.compile_only --wire-fd 3 --parent-pid 100 --spawned-at 12.5 < request.json

A child like a trial, under a trial's caps. One child compiles many programs, because its start
takes as long as a compilation. Compiling allocates nothing on a device, so this also works where
the program would not fit.
"""

import sys
import time

from search_spaces.config import Config, without_variables
from trainables.measurement import (
    Compiled,
    CompileRequest,
    OutcomeKind,
    Phase,
    Progress,
    Report,
)
from trainables.serving import Send, serve
from trainables.workload import (
    CompiledProgram,
    Compiles,
    CompilesAhead,
    InvalidConfigurationError,
    Workload,
    WorkloadInputError,
    build,
    load_factory,
)


def main() -> int:
    """Compile the configurations that stdin asks for; send the results up the wire."""
    return serve(CompileRequest, compile_all, prog="python -m trainables.compile_only")


def compile_all(request: CompileRequest, send: Send, spawned_at: float) -> Report:
    """Compile one configuration after the other; `spawned_at` is of no interest here."""
    send(Progress(phase=Phase.COMPILE))
    try:
        for config in request.configs:
            send(Progress(phase=Phase.COMPILE, compiled=_compile(request, config)))
    except WorkloadInputError as error:
        return Report(kind=OutcomeKind.ERROR, message=str(error))
    return Report(kind=OutcomeKind.COMPLETED, message=f"{len(request.configs)} compiled.")


def _compile(request: CompileRequest, config: Config) -> Compiled:
    started = time.monotonic()
    problem = None
    program = CompiledProgram()
    try:
        workload = build(load_factory(request.workload), without_variables(config), request.options)
        program = _program(workload, request)
    except InvalidConfigurationError as error:
        problem = str(error)
    return Compiled(
        config=config,
        device_bytes=program.device_bytes,
        compile_s=time.monotonic() - started,
        problem=problem,
    )


def _program(workload: Workload, request: CompileRequest) -> CompiledProgram:
    if request.target is not None:
        if isinstance(workload, CompilesAhead):
            return workload.compile_for(request.target)
        raise WorkloadInputError(
            f"{request.workload} cannot be compiled for a GPU that is not here: "
            "it offers no compile_for; a JaxWorkload does."
        )
    return workload.compile() if isinstance(workload, Compiles) else CompiledProgram()


if __name__ == "__main__":
    sys.exit(main())
