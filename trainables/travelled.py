"""A person's files that travelled to another host with our packages, as a trial finds them there.

Ray unpacks a working directory on each host: our packages, and beside them a folder with what the
person's training needs. A trial stands in that folder, so that a module of theirs is found first,
whatever its name. Stdlib only.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.measurement import TrialRequest

PERSONS_FOLDER = "person"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Travelled:
    """The person's files by their absolute paths where the search runs.

    The values are paths below the working directory.
    """

    files: dict[str, str]

    def request(self, request: TrialRequest, root: Path) -> TrialRequest:
        """Return the request with the paths that hold below the working directory `root`."""
        module, colon, factory = request.workload.rpartition(":")
        return dataclasses.replace(
            request,
            workload=f"{self._there(module, root)}{colon}{factory}",
            options={name: self._there(value, root) for name, value in request.options.items()},
        )

    def _there(self, value: Any, root: Path) -> Any:
        if isinstance(value, list | tuple):
            return [self._there(one, root) for one in value]
        if isinstance(value, str) and value in self.files:
            return str(root / self.files[value])
        return value


def without_ours(environ: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return the variables without the PYTHONPATH to `root`, for programs that are not ours."""
    places = [p for p in environ.get("PYTHONPATH", "").split(os.pathsep) if p and Path(p) != root]
    kept = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    return kept | ({"PYTHONPATH": os.pathsep.join(places)} if places else {})
