"""hosts.toml: the rented boxes, their addresses, and their prices. Stdlib only."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cluster.errors import FleetError
from cluster.node.regular import read_bounded
from cluster.structure import Rule, StructureError, structure

Provider = Literal["runpod", "vast", "other"]
Price = Annotated[
    float,
    Rule("must be US dollars an hour, like 0.69", lambda price: 0 < price < 10_000, True),
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")
_HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def _fitting(pattern: re.Pattern[str]) -> Rule:
    return Rule("has characters that do not belong there", pattern.fullmatch)


def _is_plain(text: str) -> bool:
    return text != "" and text.isprintable()


def _is_own_folder(folder: str) -> bool:
    """Return whether `down --remove` may remove this folder: it must be the fleet's alone."""
    parts = Path(folder).parts
    is_below = len(parts) >= 1 + folder.startswith("/")
    return is_below and not folder.startswith(("~", "-")) and ".." not in parts


def _key_alone(text: str) -> str:
    """Return a public key without the comment that ssh-keyscan and .pub files put behind it."""
    return " ".join(text.split()[:2])


_Plain = Annotated[str, Rule("must be text without control characters", _is_plain, True)]
_KeyFile = Annotated[
    Path,
    Rule(
        "must be text without control characters",
        lambda path: path.name != "" and str(path).isprintable(),
        True,
    ),
]
_Port = Annotated[
    int, Rule("must be a whole number from 1 to 65535", lambda port: 0 < port < 65536, True)
]
_HostKey = Annotated[
    _Plain,
    Rule(
        "must be a public key, like ssh-ed25519 AAAA...",
        lambda text: _HOST_KEY.fullmatch(_key_alone(text)),
    ),
]
_Folder = Annotated[
    _Plain,
    Rule(
        "must name a folder of the fleet's own, below the home folder or absolute", _is_own_folder
    ),
]
_Interpreter = Annotated[
    _Plain, Rule("must be an absolute path on the box", lambda path: path.startswith("/"))
]
_Command = Annotated[
    tuple[_Plain, ...],
    Rule('must be a list of words, like ["runpodctl", "stop", "pod", "ID"]', bool, True),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The keys of one table [hosts.NAME].

    `host_key` pins the box's public key; without it the key seen first is pinned, after a question.
    `folder` is the fleet's folder on the box, below the home folder unless absolute. `python` is an
    interpreter there that has the environment already, and takes the place of the installation.
    `stop_command` is what the dead-man runs on the box to stop its rent.
    """

    address: Annotated[_Plain, _fitting(_ADDRESS)]
    port: _Port = 22
    user: Annotated[_Plain, _fitting(_USER)] = "root"
    key: _KeyFile | None = None
    host_key: _HostKey | None = None
    folder: _Folder = "rl-tuner-fleet"
    python: _Interpreter | None = None
    provider: Provider = "other"
    id: Annotated[_Plain, _fitting(_ID)] | None = None
    price_per_hour: Price | None = None
    stop_command: _Command = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host(_Table):
    """One rented box, by the name of its table."""

    name: str

    @property
    def destroy_command(self) -> str:
        """Command for the laptop, or step by hand, that ends this box's rent."""
        if self.provider == "runpod" and self.id:
            return f"runpodctl remove pod {self.id}"
        if self.provider == "vast" and self.id:
            return f"vastai destroy instance {self.id}"
        return f"destroy {self.name} ({self.address}) in its provider's console"


def read(path: Path, *, only: tuple[str, ...] = ()) -> tuple[Host, ...]:
    """Read the hosts of a file, or those named in `only`.

    Raises:
        FleetError: naming the file, the host and the key that is wrong.
    """
    try:
        document = tomllib.loads(read_bounded(path))
    except OSError as error:
        raise FleetError(
            f"cannot read the hosts file {path}: {error.strerror}. Write it like "
            "cluster/hosts.example.toml, or name yours by --hosts."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FleetError(f"{path} is not TOML: {error}.") from error
    try:
        hosts = parse(document, folder=path.parent)
    except FleetError as error:
        raise FleetError(f"{path}: {error}") from error
    unknown = sorted(set(only) - {host.name for host in hosts})
    if unknown:
        raise FleetError(f"{path} has no host {unknown[0]}; it has {_names(hosts)}.")
    return tuple(host for host in hosts if not only or host.name in only)


def parse(document: Mapping[str, Any], *, folder: Path) -> tuple[Host, ...]:
    """Read the hosts of a parsed file; relative paths of SSH keys start at `folder`.

    Raises:
        FleetError: naming the host and the key that is wrong.
    """
    unknown = sorted(document.keys() - {"defaults", "hosts"})
    if unknown:
        raise FleetError(f"unknown key {unknown[0]!r}; there are [defaults] and [hosts.NAME].")
    defaults, tables = document.get("defaults", {}), document.get("hosts", {})
    if not isinstance(defaults, dict) or not isinstance(tables, dict) or not tables:
        raise FleetError("it needs at least one table [hosts.NAME] with an address.")
    for key in ("address", "host_key", "id"):
        if key in defaults:
            raise FleetError(f"{key} belongs to one host; it cannot stand in [defaults].")
    hosts = tuple(_host(name, table, defaults, folder) for name, table in tables.items())
    places = [(host.address, host.port, host.user, host.folder) for host in hosts]
    for host, place in zip(hosts, places, strict=True):
        if places.count(place) > 1:
            raise FleetError(f"host {host.name}: another host has the same address and port.")
    return hosts


def _host(name: str, table: Any, defaults: Mapping[str, Any], folder: Path) -> Host:
    if not _NAME.fullmatch(name):
        raise FleetError(f"host {name!r}: a name is at most 40 letters, digits, '.', '_' or '-'.")
    if not isinstance(table, dict):
        raise FleetError(f"host {name}: must be a table [hosts.{name}], got {table!r}.")
    try:
        keys = structure(_Table, {**defaults, **table})
    except StructureError as error:
        raise FleetError(f"host {name}: {error}") from error
    values = dataclasses.asdict(keys)
    if keys.key is not None:
        values["key"] = folder / _at_home(name, keys.key)
    if keys.host_key is not None:
        values["host_key"] = _key_alone(keys.host_key)
    return Host(name=name, **values)


def _at_home(name: str, key: Path) -> Path:
    """Return the path of a key with the home folder that its ~ stands for.

    Raises:
        FleetError: if there is no such user here.
    """
    try:
        return key.expanduser()
    except RuntimeError as error:
        raise FleetError(
            f"host {name}: key: {key.parts[0]} is no home folder on this machine, in {str(key)!r}."
        ) from error


def _names(hosts: tuple[Host, ...]) -> str:
    return ", ".join(host.name for host in hosts)
