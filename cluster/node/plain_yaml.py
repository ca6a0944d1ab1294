"""YAML files of other people: bounded, without aliases, and nothing in them is executed."""

from pathlib import Path
from typing import Any

import yaml

from cluster.node import regular

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return the value of a YAML file.

    Raises:
        OSError: if it cannot be read, is no regular file, or is too long.
        ValueError: if it is no YAML, or has aliases (*name): ten lines of them make a billion.
    """
    text = regular.read_bounded(path)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _LOADER)):
            raise ValueError("it has aliases (*name)")
        return yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
