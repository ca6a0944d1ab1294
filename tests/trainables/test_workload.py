"""What a person may write for `--workload`, and what is found of a workload's optional parts."""

import sys
from pathlib import Path

import pytest

import fake_workloads
from trainables.workload import (
    Compiles,
    ReportsDevice,
    ReportsHealth,
    Workload,
    WorkloadInputError,
    load_factory,
)


def test_a_factory_is_found_by_its_name() -> None:
    assert load_factory("fake_workloads:Sleeper") is fake_workloads.Sleeper


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "must read package.module:factory, got ''"),
        ("fake_workloads", "must read package.module:factory"),
        ("fake_workloads:", "must read package.module:factory"),
        (":Sleeper", "must read package.module:factory"),
        ("no_such_module:factory", "no module 'no_such_module'; run from its folder or install it"),
        ("fake_workloads.deeper:factory", "no module 'fake_workloads.deeper'"),
        ("fake_workloads:no_such_factory", "fake_workloads has no function 'no_such_factory'"),
        ("fake_workloads:AFFINITY_AT_IMPORT", "has no function 'AFFINITY_AT_IMPORT'"),
    ],
)
def test_a_wrong_name_is_said_in_one_sentence(name: str, words: str) -> None:
    with pytest.raises(WorkloadInputError) as error:
        load_factory(name)
    assert words in str(error.value)


def test_a_missing_import_inside_the_workload_is_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load_factory("needs_more:factory")
    assert "needs_more" not in sys.modules


@pytest.mark.parametrize(
    ("workload", "is_full"), [(fake_workloads.Sleeper, False), (fake_workloads.Full, True)]
)
def test_optional_parts_are_found(workload: type[fake_workloads.Sleeper], is_full: bool) -> None:
    built = workload({}, {})
    assert isinstance(built, Workload)
    for part in (Compiles, ReportsHealth, ReportsDevice):
        assert isinstance(built, part) is is_full
