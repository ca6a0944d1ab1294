"""`down`: end the job, bring the last results home, remove the folder if asked."""

from pathlib import Path

from cluster.fleet import pull, status
from cluster.fleet.parallel import Sayer
from cluster.fleet.remote import RemoteBox

_STOP_S = 240.0  # the search gets 90 s to end in order, and writes a partial profile


def take_down(box: RemoteBox, *, out: Path, remove: bool, say: Sayer) -> None:
    """End the job of one box and pull its results. The dead-man stays armed: the rent goes on.

    What no pull brings home is named: the next that a person does is to end the rent.

    Raises:
        HostError: if the box cannot be reached, or refuses.
    """
    told = box.ask("stop", timeout_s=_STOP_S)
    stopped, only_there = told["stopped"], told.get("only_here")  # an earlier version tells none
    say("no job was running" if stopped is None else f"ended the job {stopped}")
    say(str(pull.pull(box, out)))
    if remove:
        say(f"removed {box.ask('remove')['removed']}")  # or refuses, for what is only there
        status.forget(box)  # else it would seem to have lost its disk
    elif only_there is not None:
        say(only_there)
    box.connection.close()
