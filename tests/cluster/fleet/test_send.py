"""Files that are sent to a box lie there whole or not at all."""

from pathlib import Path

import pytest

from cluster.box.folder import BoxFolder
from cluster.errors import FleetError
from cluster.fleet import send
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError
from local_connection import LocalConnection


@pytest.fixture
def link(box: BoxFolder) -> LocalConnection:
    return LocalConnection(box.path)


@pytest.fixture
def there(link: LocalConnection) -> RemoteBox:
    return RemoteBox(link)


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    path = tmp_path / "my 'bars'.csv"
    path.write_bytes(b"0123456789" * 100)
    return path


def on_box(box: BoxFolder, parcel: send.Parcel) -> Path:
    return box.code / parcel.on_box


@pytest.mark.parametrize("word", ["bars.csv", "./bars.csv", "./x/../bars.csv", "--data"])
def test_file_is_named_in_the_command_as_it_was_sent(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bars.csv").write_bytes(b"bars")
    (parcel,) = send.pack([Path("./bars.csv")])
    words = ["python", "-m", "x", "", "./other/", word]
    if Path(word) == Path("bars.csv"):
        assert send.address(words, [parcel]) == [*words[:-1], parcel.on_box]
    else:
        with pytest.raises(FleetError, match=r"--send bars\.csv: the command .* does not name it"):
            send.address(words, [parcel])


@pytest.mark.parametrize("arrived", [0, 1, 999])
def test_file_that_was_cut_off_is_not_taken_for_whole(
    arrived: int, box: BoxFolder, link: LocalConnection, there: RemoteBox, bars: Path
) -> None:
    parcels = send.pack([bars])
    link.lets_through = arrived
    with pytest.raises(HostError, match=r"got 'my .bars.\.csv' in part: submit it again"):
        send.send(there, parcels)
    assert not [path for path in box.path.glob("files/*/*") if path.is_file()]
    link.lets_through = None
    send.send(there, parcels)
    assert on_box(box, parcels[0]).read_bytes() == bars.read_bytes()


def test_file_that_an_earlier_version_left_cut_off_is_sent_again(
    box: BoxFolder, there: RemoteBox, bars: Path
) -> None:
    parcels = send.pack([bars])
    path = on_box(box, parcels[0])
    path.parent.resolve().mkdir(parents=True)
    path.write_bytes(bars.read_bytes()[:500])
    send.send(there, parcels)
    assert path.read_bytes() == bars.read_bytes()


def test_file_that_is_there_is_not_sent_again(
    link: LocalConnection, there: RemoteBox, bars: Path
) -> None:
    parcels = send.pack([bars])
    send.send(there, parcels)
    send.send(there, parcels)
    assert link.num_sent_bytes == 1000
