"""hosts.toml: the rented boxes, how to reach them, and what they cost. Stdlib only."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cluster.errors import FleetError

Provider = Literal["runpod", "vast", "other"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")
_HOST_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DEFAULT_FOLDER = "rl-tuner-fleet"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One rented box.

    `host_key` pins the box's public key; without it the key seen first is pinned, after a question.
    `folder` is the fleet's folder on the box, below the home folder unless absolute. `python` is an
    interpreter there that has the environment already, and takes the place of the installation.
    `stop_command` is what the dead-man runs on the box to stop its rent.
    """

    name: str
    address: str
    port: int = 22
    user: str = "root"
    key: Path | None = None
    host_key: str | None = None
    folder: str = _DEFAULT_FOLDER
    python: str | None = None
    provider: Provider = "other"
    id: str | None = None
    price_per_hour: float | None = None
    stop_command: tuple[str, ...] = ()

    @property
    def destroy_command(self) -> str:
        """What to run on the laptop, or to do, so that this box costs nothing any more."""
        if self.provider == "runpod" and self.id:
            return f"runpodctl remove pod {self.id}"
        if self.provider == "vast" and self.id:
            return f"vastai destroy instance {self.id}"
        return f"destroy {self.name} ({self.address}) in its provider's console"


def read(path: Path, *, only: tuple[str, ...] = ()) -> tuple[Host, ...]:
    """Read the hosts of a file, or those named in `only`.

    Raises:
        FleetError: names the file, the host and the key that is wrong.
    """
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise FleetError(f"cannot read the hosts file {path}: {error.strerror}.") from error
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
    """Read the hosts of a parsed file; relative paths of keys start at `folder`.

    Raises:
        FleetError: names the host and the key that is wrong.
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
    values = {**defaults, **table}
    known = {field.name for field in dataclasses.fields(Host)} - {"name"}
    for key in sorted(values.keys() - known):
        raise FleetError(f"host {name}: unknown key {key!r}; known are {', '.join(sorted(known))}.")
    if "address" not in values:
        raise FleetError(f"host {name}: address is missing.")
    for key, value in values.items():
        problem = _problem(key, value)
        if problem is not None:
            raise FleetError(f"host {name}: {key} {problem}, got {value!r}.")
    if "key" in values:
        values["key"] = folder / Path(values["key"]).expanduser()
    if "host_key" in values:  # without the comment that ssh-keyscan and .pub files put behind
        values["host_key"] = " ".join(values["host_key"].split()[:2])
    if "stop_command" in values:
        values["stop_command"] = tuple(values["stop_command"])
    return Host(name=name, **values)


def _problem(key: str, value: Any) -> str | None:
    """What is wrong with a value, to be read after its key; `None` if nothing is."""
    if key == "port":
        return (
            None
            if type(value) is int and 0 < value < 65536
            else "must be a whole number from 1 to 65535"
        )
    if key == "price_per_hour":
        return None if _is_price(value) else "must be US dollars an hour, like 0.69"
    if key == "stop_command":
        is_command = isinstance(value, list) and value != [] and all(map(_is_plain, value))
        return (
            None
            if is_command
            else 'must be a list of words, like ["runpodctl", "stop", "pod", "ID"]'
        )
    if not _is_plain(value):
        return "must be text without control characters"
    if key == "provider":
        return None if value in ("runpod", "vast", "other") else "must be runpod, vast or other"
    if key == "folder":
        return _folder_problem(value)
    if key == "python":
        return None if value.startswith("/") else "must be an absolute path on the box"
    if key == "host_key":
        is_key = _HOST_KEY.fullmatch(" ".join(value.split()[:2])) is not None
        return None if is_key else "must be a public key, like ssh-ed25519 AAAA..."
    pattern = {"address": _ADDRESS, "user": _USER, "id": _ID}.get(key)
    if pattern is not None and not pattern.fullmatch(value):
        return "has characters that do not belong there"
    return None


def _folder_problem(folder: str) -> str | None:
    """`down --remove` removes this folder: it must be one that is the fleet's alone."""
    parts = Path(folder).parts
    if folder.startswith(("~", "-")) or ".." in parts or len(parts) < 1 + folder.startswith("/"):
        return "must name a folder of the fleet's own, below the home folder or absolute"
    return None


def _is_price(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 10_000


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _names(hosts: tuple[Host, ...]) -> str:
    return ", ".join(host.name for host in hosts)
