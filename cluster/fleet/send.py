"""`submit --send`: carry the person's own files, such as bars, to the boxes."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import FleetError
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError

# The folder's name is the content's hash. On the box a broken link looks like the end of the file,
# so one counts as there only at its whole size.
_IS_THERE = """
cd -- "$1/$2" > /dev/null && [ "$(wc -c < "$3")" -eq "$4" ] && echo there; exit 0
"""
_STORE = """
set -e; umask 077
cd -- "$1"; mkdir -p -- "$2"; cd -- "$2"
trap 'rm -f -- ".$3.$$"' EXIT
cat > ".$3.$$"
[ "$(wc -c < ".$3.$$")" -eq "$4" ] || { echo "got '$3' in part: submit it again." >&2; exit 1; }
mv -f -- ".$3.$$" "$3"
"""
_LACKS = '[ -f "$1/$2" ] || echo lacks'
_ON_BOX = re.compile(r"\.\./(files/[0-9a-f]{16}/(.+))", re.DOTALL)  # see `Parcel.on_box`
_SEND_S = 1800.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A file, with its place in the fleet's folder."""

    given: Path
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
            Parcel(given=path, content=content, folder=f"files/{digest}", name=path.name)
        )
    return parcels


def address(words: Sequence[str], parcels: Sequence[Parcel]) -> list[str]:
    """Return a command with the files by their paths on the box.

    Raises:
        FleetError: if the command does not name one of them.
    """
    named = set(map(Path, words))  # as --send was read: without the ./ that a shell completes
    for parcel in parcels:
        if parcel.given not in named:
            raise FleetError(
                f"--send {parcel.given}: the command behind -- does not name it by that path."
            )
    there = {parcel.given: parcel.on_box for parcel in parcels}
    return [there.get(Path(word), word) for word in words]


def send(box: RemoteBox, parcels: Sequence[Parcel]) -> None:
    """Put the files on a box, but for those that lie there already.

    Raises:
        HostError: if the box cannot be reached, its disk is full, or a file arrives in part.
    """
    for parcel in parcels:
        place = (box.host.folder, parcel.folder, parcel.name, str(len(parcel.content)))
        if not box.shell(_IS_THERE, *place):
            box.shell(_STORE, *place, stdin=parcel.content, timeout_s=_SEND_S)


def require(box: RemoteBox, words: Sequence[str]) -> None:
    """Require that a box has the files that a command from another box names.

    Raises:
        HostError: naming one that it lacks, or if the box cannot be reached.
    """
    for place, name in (found.groups() for word in words if (found := _ON_BOX.fullmatch(word))):
        if box.shell(_LACKS, box.host.folder, place):
            raise HostError(
                box.host,
                f"lacks {name!r}, which the search was sent with: add --send with that file, as it "
                "was then.",
            )
