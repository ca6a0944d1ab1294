"""Files that are sent to a box lie there whole or not at all; the box is this machine's shell."""

import subprocess
from pathlib import Path

import pytest

from cluster.fleet import send
from cluster.fleet.hosts import Host
from cluster.fleet.ssh import HostError


class LocalBox:
    """A box that runs scripts here; of what it is sent, `lets_through` bytes arrive at most."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(name="box", address="x", folder=str(folder))
        self.lets_through: int | None = None
        self.num_sent_bytes = 0

    def shell(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> bytes:
        self.num_sent_bytes += len(stdin)
        words = ["sh", "-c", script, "sh", *arguments]
        sent = stdin[: self.lets_through]
        done = subprocess.run(words, input=sent, capture_output=True, check=False)
        if done.returncode != 0:
            raise HostError(self.host, done.stderr.decode().strip())
        return done.stdout


@pytest.fixture
def box(tmp_path: Path) -> LocalBox:
    (tmp_path / "fleet" / "code").mkdir(parents=True)
    return LocalBox(tmp_path / "fleet")


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    path = tmp_path / "my 'bars'.csv"
    path.write_bytes(b"0123456789" * 100)
    return path


def on_box(box: LocalBox, parcel: send.Parcel) -> Path:
    return Path(box.host.folder) / "code" / parcel.on_box


@pytest.mark.parametrize("arrived", [0, 1, 999])
def test_file_that_was_cut_off_is_not_taken_for_whole(
    arrived: int, box: LocalBox, bars: Path
) -> None:
    parcels = send.pack([bars])
    box.lets_through = arrived
    with pytest.raises(HostError, match=r"got 'my .bars.\.csv' in part: submit it again"):
        send.send(box, parcels)  # type: ignore[arg-type]
    assert not [path for path in Path(box.host.folder).glob("files/*/*") if path.is_file()]
    box.lets_through = None
    send.send(box, parcels)  # type: ignore[arg-type]
    assert on_box(box, parcels[0]).read_bytes() == bars.read_bytes()


def test_file_that_an_earlier_version_left_cut_off_is_sent_again(box: LocalBox, bars: Path) -> None:
    parcels = send.pack([bars])
    there = on_box(box, parcels[0])
    there.parent.resolve().mkdir(parents=True)
    there.write_bytes(bars.read_bytes()[:500])
    send.send(box, parcels)  # type: ignore[arg-type]
    assert there.read_bytes() == bars.read_bytes()


def test_file_that_is_there_is_not_sent_again(box: LocalBox, bars: Path) -> None:
    parcels = send.pack([bars])
    send.send(box, parcels)  # type: ignore[arg-type]
    send.send(box, parcels)  # type: ignore[arg-type]
    assert box.num_sent_bytes == 1000
