"""A workload that is ready to run, and the reports on it."""

import dataclasses
from typing import Any

from trainables.measurement import Measurement, Report
from trainables.verdicts import TrialVerdict
from trainables.workload import (
    CompiledProgram,
    DeviceUsage,
    ReportsDevice,
    ShowsProgress,
    Workload,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A workload that is ready to run, and the seconds that building and compiling it took."""

    workload: Workload
    program: CompiledProgram
    startup_s: float
    build_s: float
    compile_s: float

    @property
    def device_usage(self) -> DeviceUsage | None:
        """The device as the framework sees it now, if the workload tells."""
        workload = self.workload
        return workload.device_usage() if isinstance(workload, ReportsDevice) else None

    @property
    def fingerprint(self) -> bytes:
        """A digest of what training changes; empty where the workload has none."""
        workload = self.workload
        return workload.fingerprint() if isinstance(workload, ShowsProgress) else b""

    def figures(self, usage: DeviceUsage | None) -> dict[str, Any]:
        """Return what is known of the program and of its building, as fields of a `Measurement`."""
        return {
            "env_steps_per_update": self.workload.env_steps_per_update,
            "startup_s": self.startup_s,
            "build_s": self.build_s,
            "compile_s": self.compile_s,
            "compiled_from_cache": self.program.from_cache,
            "flops_per_update": self.program.flops_per_update,
            "predicted_device_bytes": self.program.device_bytes,
            "peak_device_bytes": usage.peak_device_bytes if usage else None,
            "num_compilations": usage.num_compilations if usage else None,
        }

    def report(self, verdict: TrialVerdict, measurement: Measurement | None = None) -> Report:
        """Return the child's report."""
        kind, message = verdict
        return Report(
            kind=kind,
            message=message,
            measurement=measurement,
            predicted_device_bytes=self.program.device_bytes,
        )
