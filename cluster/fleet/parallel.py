"""Calls for all boxes side by side, with each failure told beside its box's name."""

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError

Returned = TypeVar("Returned")
_printing = threading.Lock()


def each(
    boxes: Sequence[RemoteBox],
    function: Callable[[RemoteBox], Returned],
    *,
    num_threads: int | None = None,
) -> list[Returned]:
    """Call `function` for all boxes; return the results in their order."""
    with concurrent.futures.ThreadPoolExecutor(num_threads or len(boxes)) as pool:
        return list(pool.map(function, boxes))


def report_each(
    boxes: Sequence[RemoteBox],
    function: Callable[[RemoteBox], None],
    *,
    num_threads: int | None = None,
) -> int:
    """Call `function` for all boxes and print each failure; return 1 if there was any, else 0."""

    def attempt(box: RemoteBox) -> bool:
        try:
            function(box)
        except (HostError, OSError) as error:
            sayer(box)(f"REFUSED: {str(error).removeprefix(f'{box.host.name}: ')}")
            return False
        return True

    return 0 if all(each(boxes, attempt, num_threads=num_threads)) else 1


def sayer(box: RemoteBox) -> Callable[[str], None]:
    """Return a function that prints lines with the box's name in front."""

    def say(text: str) -> None:
        with _printing:  # one line is one box's
            print(f"{box.host.name}  {text}", flush=True)

    return say


Sayer = Callable[[str], None]
