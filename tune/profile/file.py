"""The file of a profile: one proven configuration, the machine that it holds on, and the proof.

A profile is YAML. The top-level keys are those that trainers of this family read (`num_envs`,
`num_steps`, ...); the nested ones say where they come from. It holds what was measured on the
machine that it names and nothing else.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.errors import UserError
from cluster.node import atomic, plain_yaml
from cluster.structure import PositiveCount, StructureError, convert, destructure, structure
from search_spaces.config import COUNTS, Config, num_minibatches
from tune.profile.schema import PROFILE_VERSION, Profile, ProfileConfig


class ProfileError(UserError):
    """A profile cannot be used; the message names the file, the key, what was got, what to do."""


def to_yaml(profile: Profile) -> str:
    """Return the file's text: a header for people, then the keys in the order of the fields."""
    fields: dict[str, Any] = {}
    for name, value in destructure(profile).items():
        if name == "device":  # the keys that trainers read at the top come before it
            fields |= _plain_keys(profile.config)
        fields[name] = value
    body = yaml.dump(fields, Dumper=yaml.SafeDumper, sort_keys=False, width=100, allow_unicode=True)
    return _HEADER.format(name=profile.file_name, unit=profile.unit) + body


def write(profile: Profile, folder: Path) -> Path:
    """Write the profile into `folder` in one step; return its path.

    An unproven profile (partial, or not confirmed) takes another name if a proven one is there, so
    that an interrupted search does not replace the result of a complete one.

    Raises:
        ProfileError: if the folder cannot be written.
    """
    path = folder / profile.file_name
    if not _is_proven(profile) and path.exists():
        try:
            replaces_proven = _is_proven(read(path))
        except ProfileError:
            replaces_proven = False
        if replaces_proven:
            path = path.with_name(f"{path.stem}-unproven.yaml")
    try:
        atomic.write_text(path, to_yaml(profile))
    except OSError as error:
        raise ProfileError(
            f"cannot write the profile {path} ({error.strerror}). Nothing is lost: repeat the "
            "command with --resume and another --profiles."
        ) from error
    return path


def read(path: Path) -> Profile:
    """Read and check a profile.

    Raises:
        ProfileError: if the file cannot be read, or any key is missing, unknown or out of range.
    """
    try:
        fields = plain_yaml.read_yaml(path)
    except OSError as error:
        raise ProfileError(
            f"{path}: {error.strerror}. List the profiles there are: python -m tune.profile list"
        ) from error
    except ValueError as error:
        raise ProfileError(f"{path} is not YAML ({error!s:.200}). {_SEARCH_AGAIN}") from error
    try:
        return _from_fields(fields)
    except StructureError as error:
        raise ProfileError(f"{path}: {error} {_SEARCH_AGAIN}") from error


_SEARCH_AGAIN = "Take the file as a search wrote it, or search again: python -m tune.jax_phase12"
_FIELDS = frozenset(field.name for field in dataclasses.fields(Profile))
_HEADER = """\
# A training configuration and what was measured of it on the machine that is named at the end.
# Before training:  eval "$(python -m tune.profile env {name})"
# Does it still hold?  python -m tune.profile validate {name}
# expected_sps is in {unit} per second, expected_memory_gb in 10^9 bytes, expected_gpu_util in
# percent. A profile is measured as a whole: search again rather than edit it.
"""


def _from_fields(fields: Any) -> Profile:
    if not isinstance(fields, dict):
        raise StructureError("the whole file", f"must map names to values, got {fields!r:.80}")
    version = fields.get("schema_version")
    if version != PROFILE_VERSION:
        raise StructureError(
            "schema_version", f"this program reads version {PROFILE_VERSION}, got {version!r}"
        )
    given: Any = fields.get("config")
    for name in COUNTS & given.keys() if isinstance(given, dict) else ():
        convert(PositiveCount, given[name], f"config.{name}")
    config: Config = convert(ProfileConfig, given, "config")
    copies = _plain_keys(config)
    for name, value in copies.items():
        if fields.get(name) != value:
            got = repr(fields[name]) if name in fields else "nothing"
            raise StructureError(name, f"must be {value}, as below config, got {got}")
    profile = structure(
        Profile, {name: value for name, value in fields.items() if name not in copies}
    )
    speed, cap, cpus = profile.speed, profile.threads.cap, profile.environment.cpus
    if not speed.low <= profile.expected_sps <= speed.high:
        got = f"{profile.expected_sps} outside of {speed.low} to {speed.high}"
        raise StructureError("expected_sps", f"must lie in the interval of speed, got {got}")
    if len(cpus) != cap:
        raise StructureError("environment.cpus", f"must be as many as the cap {cap}, got {cpus}")
    return profile


def _plain_keys(config: Mapping[str, Any]) -> Config:
    """Return the configuration as trainers read it: with num_minibatches, which follows from it.

    An axis that is named like a field of a profile, as `phase`, is only below `config`.
    """
    minibatches = num_minibatches(config)
    values = dict(config) if minibatches is None else {"num_minibatches": minibatches, **config}
    order = ("num_envs", "num_steps", "num_minibatches", "num_epochs", "batch_size")
    return {n: values[n] for n in (*order, *values) if n in values and n not in _FIELDS}


def _is_proven(profile: Profile) -> bool:
    return profile.confirmed and not profile.partial
