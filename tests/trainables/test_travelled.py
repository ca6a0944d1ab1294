"""A person's files on a host that they travelled to."""

from pathlib import Path

from trainables.measurement import TrialRequest
from trainables.travelled import Travelled, without_ours

ROOT = Path("/ray/working_dir")


def test_paths_of_files_that_travelled_are_those_of_the_host() -> None:
    travelled = Travelled(
        files={"/home/a/bars.csv": "person/bars.csv", "/b/loop.py": "person/.elsewhere/1/loop.py"}
    )
    request = TrialRequest(
        workload="/b/loop.py:make",
        config={"num_envs": 64, "path": "/home/a/bars.csv"},
        options={
            "data": "/home/a/bars.csv",
            "arguments": ["python", "/b/loop.py", "--x=/b/loop.py"],
            "seed": 3,
            "gone": "/b/gone",
        },
        platform="cpu",
        cpus=(),
    )
    there = travelled.request(request, ROOT)
    assert there.workload == "/ray/working_dir/person/.elsewhere/1/loop.py:make"
    assert there.config == request.config
    assert there.options == {
        "data": "/ray/working_dir/person/bars.csv",
        "arguments": ["python", "/ray/working_dir/person/.elsewhere/1/loop.py", "--x=/b/loop.py"],
        "seed": 3,
        "gone": "/b/gone",
    }
    module = TrialRequest(workload="own.loop:f", config={}, options={}, platform="cpu", cpus=())
    assert travelled.request(module, ROOT) == module


def test_programs_of_a_person_do_not_find_our_packages() -> None:
    assert without_ours({"A": "b"}, ROOT) == {"A": "b"}
    assert without_ours({"PYTHONPATH": str(ROOT)}, ROOT) == {}
    given = {"PYTHONPATH": f"{ROOT}:/theirs::/more"}
    assert without_ours(given, ROOT) == {"PYTHONPATH": "/theirs:/more"}
