"""A workload that is ready to run, and the reports on it."""

import dataclasses

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

    def report(self, verdict: TrialVerdict, measurement: Measurement | None = None) -> Report:
        """Return the child's report."""
        kind, message = verdict
        return Report(
            kind=kind,
            message=message,
            measurement=measurement,
            predicted_device_bytes=self.program.device_bytes,
        )
