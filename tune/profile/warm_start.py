"""Configurations that the profiles of other machines recommend to try first: --warm-start.

A recommendation is only a guess: it is tried like any other configuration, in a trial of its own.
At most three are, so that misleading profiles cost three trials.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.pages import units
from search_spaces.config import Config, ConfigKey, config_key, config_name, doublings
from search_spaces.space import SearchSpace
from tune.profile import file as profile_file
from tune.profile.file import ProfileError
from tune.profile.schema import Profile
from tune.search.result import Kind

_MOST = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """Configurations of the space, the most trusted first, and a sentence about them for people."""

    configs: tuple[Config, ...]
    text: str


def read(
    path: Path,
    *,
    factory: str,
    kind: Kind,
    space: SearchSpace,
    baseline: Mapping[str, Any],
    machine_class: str,
    device: str,
) -> Recommended:
    """Read a profile, or all profiles of a folder, and choose what to try first.

    Only profiles of the same workload (`factory`) count; a file of a folder that cannot be read is
    passed over.

    Raises:
        UserError: if there is no such file or folder, or the file is no profile of this workload.
    """
    profiles, num_unreadable = _read_all(path)
    usable = [profile for profile in profiles if profile.workload.factory == factory]
    if not usable and not path.is_dir():
        raise UserError(f"--warm-start: {path} is a profile of another workload than {factory}.")
    usable.sort(key=lambda profile: profile.created_at, reverse=True)
    usable.sort(key=lambda profile: _distrust(profile, kind, machine_class, device))
    configs: dict[ConfigKey, Config] = {}
    for profile in usable:
        config = nearest(space, dict(baseline) | profile.config)
        if config != baseline:
            configs.setdefault(config_key(config), config)
    chosen = tuple(configs.values())[:_MOST]
    return Recommended(configs=chosen, text=_in_words(path, chosen, len(usable), num_unreadable))


def nearest(space: SearchSpace, wanted: Mapping[str, Any]) -> Config:
    """Return the configuration of the space that is the fewest doublings from `wanted`."""
    return min(space.configurations(), key=lambda config: doublings(config, wanted))


def _read_all(path: Path) -> tuple[list[Profile], int]:
    if not path.is_dir():
        return [profile_file.read(path)], 0
    profiles, num_unreadable = [], 0
    for file in sorted(path.glob("*.yaml")):
        try:
            profiles.append(profile_file.read(file))
        except ProfileError:
            num_unreadable += 1
    return profiles, num_unreadable


def _distrust(profile: Profile, kind: Kind, machine_class: str, device: str) -> tuple[bool, ...]:
    """Return a key that sorts first what is of the same kind, machine and device, and proven."""
    return (
        profile.kind is not kind,
        profile.machine_class != machine_class,
        profile.device != device,
        profile.partial or not profile.confirmed,
    )


def _in_words(path: Path, configs: Sequence[Config], num_usable: int, num_unreadable: int) -> str:
    left_out = f" {units.plural(num_unreadable, 'file')} could not be read." * bool(num_unreadable)
    if not num_usable:
        return f"Warm start: {path} holds no profile of this workload.{left_out}"
    source = units.plural(num_usable, "profile")
    if not configs:
        return f"Warm start: {source} in {path}, and all say the baseline.{left_out}"
    first = ", ".join(config_name(config) for config in configs)
    return f"Warm start: {first}, from {source} in {path}.{left_out}"
