"""The program that stops a rent is looked for before anybody relies on it."""

from pathlib import Path

import pytest

from cluster.errors import BoxError
from cluster.node import stop_program


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("no-such-tool -x", "no-such-tool"),
        ("sh -c|no-such-tool remove pod $RUNPOD_POD_ID", "no-such-tool"),
        ("/bin/bash -c|/opt/no-such-tool -y", "/opt/no-such-tool"),
        ("sh -c|no-such-tool", "no-such-tool"),
        ("sh -c|touch x", None),
        ("sh -c|exec true", None),
        ("sh -c|if true; then true; fi", None),
        ("sh -c|stop () { true; }; stop", None),
        ("sh -c|", None),
        ("sh -c", None),
        ("sh", None),
        # The shell alone knows what these are.
        ("sh -c|PATH=/opt/bin:$PATH no-such-tool", None),
        ("sh -c|$HOME/no-such-tool", None),
        ("sh -c|(no-such-tool)", None),
        ("sh -c|it's", None),
        ("sh -lc|no-such-tool", None),
        ("python3 -c|no-such-tool", None),
    ],
)
def test_program_of_a_stop_command_is_there_also_behind_a_shell(
    command: str, missing: str | None
) -> None:
    words, bar, script = command.partition("|")
    given = [*words.split(), *[script] * bool(bar)]
    if missing is None:
        stop_program.require(given)
        return
    with pytest.raises(BoxError, match=f"stop command: there is no program '{missing}'"):
        stop_program.require(given)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("vastai stop instance 4711 --api-key K-1", "vastai stop instance 4711 --api-key ***"),
        ("sh -c|vastai stop --api-key K-1 &&  echo", "vastai stop --api-key *** &&  echo"),
        ("vastai --password|a b", "vastai --password ***"),
        ("sh -c|TOKEN=K-1 runpodctl remove pod", "TOKEN=*** runpodctl remove pod"),
        ("sh -c|runpodctl remove pod $RUNPOD_POD_ID", "runpodctl remove pod $RUNPOD_POD_ID"),
        (
            "curl -X DELETE https://h/?id=1&api_key=K-1",
            "curl -X DELETE https://h/?id=1&api_key=***",
        ),
        ("sh -c|cd /&&TOKEN=K-1 stop", "cd /&&TOKEN=*** stop"),
    ],
)
def test_stop_command_is_told_without_its_secrets(command: str, shown: str) -> None:
    words, _, script = command.partition("|")
    told = stop_program.shown([*words.split(), *filter(None, [script])])
    assert " ".join(told).removeprefix("sh -c ") == shown


def test_stop_command_finds_what_the_container_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", "/root")
    (tmp_path / "1").mkdir()
    first = b"PATH=/venv/bin:/bin\0CONTAINER_ID=4711\0HOME=/\0"
    (tmp_path / "1" / "environ").write_bytes(first)
    found = stop_program.environment(proc=tmp_path)
    assert found["PATH"] == "/usr/bin:/bin:/venv/bin"
    assert (found["CONTAINER_ID"], found["HOME"]) == ("4711", "/root")
    (tmp_path / "1" / "environ").unlink()  # as another user's is
    assert stop_program.environment(proc=tmp_path)["PATH"] == "/usr/bin:/bin"
