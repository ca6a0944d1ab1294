"""`down` takes nothing away that is only there, and names it before a person ends the rent."""

import signal
from pathlib import Path

import pytest

from box_jobs import wait_for
from cluster.fleet import __main__ as fleet
from cluster.fleet import pull
from cluster.fleet.remote import RemoteBox
from local_box import LocalBox


@pytest.mark.parametrize(
    ("remove", "code", "told"), [(False, 0, "a  {}"), (True, 1, "REFUSED: {}")]
)
def test_what_no_pull_brings_home_is_named_and_stays(
    remove: bool,
    code: int,
    told: str,
    local_box: LocalBox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "h.toml").write_text('[hosts.a]\naddress = "x"\n')
    job = local_box.folder.job("j1")
    kept = job.run / "trials" / "outputs" / "trial-0" / "policy.ckpt"  # by --keep-outputs
    local_box.up()
    local_box.start(f"mkdir -p {kept.parent}; echo weights > {kept}")
    wait_for(job.exit.exists)
    command = ["down", "--hosts", str(tmp_path / "h.toml"), "--out", str(tmp_path / "out")]
    assert fleet.main([*command, *["--remove"] * remove]) == code
    assert kept.read_text() == "weights\n"
    said = capsys.readouterr().out
    outputs = kept.parents[1]
    assert told.format(f"{outputs} is only on the box: copy it by scp -r, then") in said
    assert said.count("is only on the box") == 1
    assert said.index("is only on the box") < said.index("still cost money until you run")


def test_box_whose_folder_was_removed_has_not_lost_its_disk(
    local_box: LocalBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "h.toml").write_text('[hosts.a]\naddress = "x"\n')
    hosts = ["--hosts", str(tmp_path / "h.toml")]
    local_box.up()
    assert fleet.main(["status", *hosts]) == 0
    assert fleet.main(["down", "--remove", *hosts, "--out", str(tmp_path / "out")]) == 0
    assert fleet.main(["status", *hosts]) == 1
    assert "note: is not set up: run `up` first" in capsys.readouterr().out


def test_an_interrupt_does_not_claim_that_a_search_goes_on_which_was_told_to_end(
    local_box: LocalBox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "h.toml").write_text('[hosts.a]\naddress = "x"\n')
    local_box.up()
    local_box.start("sleep 60")

    def interrupt(box: RemoteBox, out: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pull, "pull", interrupt)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # it would last beyond this test
    assert fleet.main(["down", "--hosts", str(tmp_path / "h.toml")]) == 130
    assert local_box.folder.job("j1").exit.exists()
    assert "interrupted here, which ends no job" in capsys.readouterr().err
