"""What a person may write for `--workload`, and what is found of a workload's optional parts."""

import sys
from pathlib import Path

import pytest

import fake_workloads
from trainables.workload import (
    Compiles,
    Evaluates,
    ReportsDevice,
    ReportsHealth,
    Workload,
    WorkloadInputError,
    build,
    load_factory,
)


def test_a_factory_is_found_by_its_name() -> None:
    assert load_factory("fake_workloads:Sleeper") is fake_workloads.Sleeper


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "must read package.module:factory or file.py:factory, got ''"),
        ("fake_workloads", "must read package.module:factory"),
        ("fake_workloads:", "must read package.module:factory"),
        (":Sleeper", "must read package.module:factory"),
        ("no_such_module:factory", "no module 'no_such_module'; run from its folder or install it"),
        ("fake_workloads.deeper:factory", "no module 'fake_workloads.deeper'"),
        ("fake_workloads:no_such_factory", "fake_workloads has no function 'no_such_factory'"),
        ("fake_workloads:AFFINITY_AT_IMPORT", "has no function 'AFFINITY_AT_IMPORT'"),
        ("nowhere/loop.py:make", "there is no file nowhere/loop.py here"),
        ("fake_workloads:two words", "must read package.module:factory"),
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


def test_a_workload_with_episodes_of_its_own_to_judge_by_is_found() -> None:
    assert isinstance(fake_workloads.Learning({}, {}), Evaluates)
    assert not isinstance(fake_workloads.Full({}, {}), Evaluates)


def test_a_file_is_named_by_its_path_and_finds_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "beside_loop.py").write_text("STEPS = 7\n")
    (folder / "named_loop.py").write_text("from beside_loop import STEPS\ndef make(c, o): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_factory("deep/named_loop.py:make").__module__ == "named_loop"


class Steps:
    env_steps_per_update = 100

    def run(self, num_updates: int) -> None: ...


def made(**changes: object) -> object:
    return type("Loop", (Steps,), changes)()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "returned NoneType, which is no workload: it has no env_steps_per_update"),
        (made(env_steps_per_update=lambda self: 3), "env_steps_per_update is a method: make it"),
        (made(env_steps_per_update=0), "must be a whole number of at least 1, got 0"),
        (made(env_steps_per_update=2.5), "must be a whole number of at least 1, got 2.5"),
        (made(env_steps_per_update=True), "must be a whole number of at least 1, got True"),
        (made(run=None), "it has no run(num_updates)"),
        (made(run=lambda self: None), "run must take one argument, run(num_updates)"),
    ],
)
def test_what_is_no_workload_is_said_in_one_sentence(returned: object, words: str) -> None:
    with pytest.raises(WorkloadInputError) as error:
        build(lambda config, options: returned, {}, {})  # type: ignore[arg-type,return-value]
    assert words in str(error.value)


def test_a_factory_is_called_with_two_arguments() -> None:
    def make(config: object) -> None: ...

    with pytest.raises(WorkloadInputError, match=r"make is called as make\(config, options\)"):
        build(make, {}, {})  # type: ignore[arg-type]


def test_a_mistake_within_a_factory_is_its_own() -> None:
    with pytest.raises(KeyError, match="n_envs"):
        build(lambda config, options: config["n_envs"], {}, {})  # type: ignore[no-any-return]
