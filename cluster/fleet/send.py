"""`submit --send`: carry the person's own files, such as bars, to the boxes."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import FleetError
from cluster.fleet.remote import RemoteBox

# The name holds the content's hash: what lies there whole is never sent again, nor overwritten.
_STORE = """
set -e; umask 077
cd -- "$1"; mkdir -p -- "$2"; cd -- "$2"
if [ -e "$3" ]; then exec cat > /dev/null; fi
cat > ".$3.$$"; mv -- ".$3.$$" "$3"
"""
_SEND_S = 1800.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A file, with its place in the fleet's folder."""

    given: str
    content: bytes
    folder: str
    name: str

    @property
    def on_box(self) -> str:
        """Path for the job, which runs in the code folder."""
        return f"../{self.folder}/{self.name}"


def pack(paths: Sequence[Path]) -> list[Parcel]:
    """Read the files.

    Raises:
        FleetError: if one cannot be read.
    """
    parcels = []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FleetError(f"--send cannot read {path}: {error.strerror}.") from error
        digest = hashlib.sha256(content).hexdigest()[:16]
        parcels.append(
            Parcel(given=str(path), content=content, folder=f"files/{digest}", name=path.name)
        )
    return parcels


def address(words: Sequence[str], parcels: Sequence[Parcel]) -> list[str]:
    """Return a command with the files by their paths on the box.

    Raises:
        FleetError: if the command does not name one of them.
    """
    for parcel in parcels:
        if parcel.given not in words:
            raise FleetError(
                f"--send {parcel.given}: the command behind -- does not name it by that path."
            )
    there = {parcel.given: parcel.on_box for parcel in parcels}
    return [there.get(word, word) for word in words]


def send(box: RemoteBox, parcels: Sequence[Parcel]) -> None:
    """Put the files on a box.

    Raises:
        HostError: if the box cannot be reached, or its disk is full.
    """
    for parcel in parcels:
        box.shell(
            _STORE,
            box.host.folder,
            parcel.folder,
            parcel.name,
            stdin=parcel.content,
            timeout_s=_SEND_S,
        )
