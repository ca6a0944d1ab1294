"""The child that only compiles."""

import pytest

from trainables.compile_only import compile_all
from trainables.measurement import CompileRequest, Message, OutcomeKind, Progress


def request_for(workload: str, *configs: dict[str, int], target: str | None = None):
    return CompileRequest(
        workload=f"fake_workloads:{workload}", configs=configs, options={}, cpus=(0,), target=target
    )


def test_the_child_compiles_each_configuration_and_says_what_cannot_be() -> None:
    sent: list[Message] = []
    report = compile_all(
        request_for("Full", {"device_bytes": 5}, {"device_bytes": 7}), sent.append, 0.0
    )
    assert report.kind is OutcomeKind.COMPLETED
    programs = [m.compiled for m in sent if isinstance(m, Progress) and m.compiled]
    assert [program.device_bytes for program in programs] == [5, 7]
    sent.clear()
    compile_all(request_for("invalid", {}), sent.append, 0.0)
    program = sent[-1].compiled if isinstance(sent[-1], Progress) else None
    assert program is not None
    assert program.device_bytes is None
    assert program.problem == "batch_size must divide 32 x 128 samples, got 1000."


@pytest.mark.parametrize(
    ("workload", "target", "message"),
    [
        ("Full", "a GPU", "cannot be compiled for a GPU that is not here: it offers no"),
        ("bad_input", None, "bars.csv, row 7"),
    ],
)
def test_a_workload_that_cannot_be_compiled_is_an_error(
    workload: str, target: str | None, message: str
) -> None:
    report = compile_all(request_for(workload, {}, target=target), lambda _: None, 0.0)
    assert report.kind is OutcomeKind.ERROR
    assert message in report.message
