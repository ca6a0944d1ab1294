"""The command `report`: where its page goes; and commands that cannot be met."""

import re
from pathlib import Path

import pytest

from cluster.fleet import __main__ as fleet
from fleet_profiles import write
from local_box import LocalBox


@pytest.mark.parametrize("option", [[], ["--html", "elsewhere/fleet.html"]])
def test_report_writes_its_page_beside_the_profiles_or_where_it_is_told(
    option: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "profiles", "a")
    Path("hosts.toml").write_text('[hosts.a]\naddress = "x"\nprice_per_hour = 0.5\n')
    assert fleet.main(["report", *option]) == 0
    path = Path(option[1] if option else "profiles/report.html")
    assert "Rent this one" in path.read_text()
    assert capsys.readouterr().out.endswith(f"page: {path}\n")


@pytest.mark.parametrize("hours", ["800", "0", "-1"])
def test_hours_that_no_dead_man_takes_are_refused_with_the_limit(
    hours: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet.main(["up", f"--max-hours={hours}"]) == 2
    said = capsys.readouterr().err
    assert f"--max-hours must be positive and at most 720 (30 days), got {hours}." in said


@pytest.mark.parametrize("every", ["-1", "0", "nan", "inf"])
def test_watch_needs_a_pause(
    every: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hosts.toml").write_text('[hosts.a]\naddress = "x"\n')
    assert fleet.main(["watch", "--every", every]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --every must be above 0 and at most 86400 seconds, got ")


@pytest.mark.parametrize(
    ("words", "is_told"),
    [
        (["submit", "python", "-m", "tune.jax_phase12"], True),
        (["submit", "--max-runs", "3", "--", "python", "-m", "tune.jax_phase12"], False),
        (["watch", "python", "-m", "tune.jax_phase12"], False),
    ],
)
def test_who_forgets_the_dashes_is_told(
    words: list[str], is_told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        fleet.main(words)
    assert ("error: submit needs the command behind --" in capsys.readouterr().err) == is_told


@pytest.mark.parametrize("silence", ["-1", "0", "nan"])
def test_watch_gives_a_box_up_after_some_silence(
    silence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hosts.toml").write_text('[hosts.a]\naddress = "x"\n')
    assert fleet.main(["watch", f"--lost-after={silence}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --lost-after must be above 0 seconds, got ")


@pytest.mark.parametrize(
    ("script", "state", "code"),
    [
        (None, "no job", 0),
        ("echo 'Connection refused' >&2; exit 255", "unreachable", 1),
        # What ssh says of another key than the pinned one.
        ("echo 'Host key verification failed.' >&2; exit 255", "problem", 1),
        ("exit 137", "problem", 1),
    ],
    ids=["up", "not reached", "another key", "killed there"],
)
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_the_exit_code_of_a_status_says_whether_each_box_gave_one(
    option: list[str],
    script: str | None,
    state: str,
    code: int,
    local_box: LocalBox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hosts = tmp_path / "h.toml"
    hosts.write_text('[hosts.a]\naddress = "x"\n')
    local_box.up()
    if script is not None:
        local_box.put("ssh", script)
    assert fleet.main(["status", "--hosts", str(hosts), *option]) == code
    assert state in capsys.readouterr().out


@pytest.mark.parametrize(
    ("taken", "command", "code", "said"),
    [
        (".fleet", "status", 2, r"\Aerror: [^\n]*\.fleet[^\n]*\n\Z"),
        ("profiles", "pull", 1, r"\Aa  REFUSED: "),
    ],
)
def test_folder_that_cannot_be_made_is_one_sentence(
    taken: str,
    command: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hosts.toml").write_text('[hosts.a]\naddress = "x"\n')
    Path(taken).write_text("a file")
    assert fleet.main([command]) == code
    printed = capsys.readouterr()
    assert re.search(said, printed.err if code == 2 else printed.out)
