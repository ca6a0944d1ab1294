"""The hosts of a cluster on which a search runs: of one class, or a search for each class."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator

from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from tune.driver.hosts import joined, plain, working_dir
from tune.driver.hosts.connection import connect
from tune.driver.hosts.found import FoundHosts
from tune.driver.hosts.host_check import HostCheck
from tune.driver.hosts.places import Places
from tune.preflight.findings import Preflight, PreflightRequest
from tune.spec import SearchSpec, Task


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChosenClass:
    """The class that a search uses: its hosts now, a verdict that holds on all, their places."""

    hardware_class: HardwareClass
    preflight: Preflight
    places: Places


@contextlib.contextmanager
def chosen(
    address: str,
    spec: SearchSpec,
    task: Task,
    request: PreflightRequest,
    *,
    note: Callable[[str], None],
) -> Iterator[ChosenClass | list[str]]:
    """Connect to the cluster at `address`; yield the class to search, or the names of several.

    Raises:
        UserError: if the cluster, or a class in it, cannot be used; says why.
    """
    folders = joined.folders_of(task)
    files = (*joined.files_of(task), *folders)
    with connect(address):
        if joined.is_joined():
            yield _of_joined(spec, HostCheck(request=request, files=files), note)
            return
    with contextlib.ExitStack() as connection:
        with working_dir.prepared(task, os.environ) as (runtime_env, travelled):
            connection.enter_context(connect(address, runtime_env))
        # Ray has the files, and where an interrupt ends this process nothing removes them here.
        plain.require_nodes(request.device, timeout_s=spec.class_timeout_s, note=note)
        needed = files if travelled is None else folders
        found = plain.find(HostCheck(request=request, files=needed), travelled=travelled, note=note)
        yield _of_plain(spec, found, note)


def _of_joined(
    spec: SearchSpec, check: HostCheck, note: Callable[[str], None]
) -> ChosenClass | list[str]:
    names = list(joined.classes())
    if spec.machine_class is None and len(names) > 1:
        return names
    one = joined.require(spec.machine_class, timeout_s=spec.class_timeout_s, note=note)
    hosts = joined.checked(one, check, note=note)
    return ChosenClass(hardware_class=one, preflight=hosts.preflight, places=hosts)


def _of_plain(
    spec: SearchSpec, found: dict[str, FoundHosts], note: Callable[[str], None]
) -> ChosenClass | list[str]:
    if spec.machine_class is None and len(found) > 1:
        return list(found)
    name = next(iter(found)) if spec.machine_class is None else spec.machine_class
    if name not in found:
        raise UserError(f"no host of class {name} is in the cluster (it has: {', '.join(found)}).")
    one = found[name]
    plain.require_free(one, timeout_s=spec.class_timeout_s, note=note)
    return ChosenClass(hardware_class=one.hardware_class, preflight=one.preflight, places=one)
