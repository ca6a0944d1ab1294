"""The steps that an off-policy training takes before it learns, as its command or files say.

Pure. They are faster than those that come later, and a trial may see no others.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from cluster.pages import units

_STEMS = (
    r"learning[-_]starts?",  # CleanRL, Stable-Baselines3, skrl, RLlib
    r"start[-_](?:steps|timesteps|training)",  # Spinning Up, TD3's authors, tianshou, jaxrl
    r"seed[-_]steps",  # pytorch_sac, TD-MPC2, rl_games
    r"random[-_](?:steps|timesteps|frames)",  # TorchRL's init_random_frames, skrl
    r"min[-_]replay[-_](?:size|history)",  # Brax, Acme, Dopamine
)
_NAMED = re.compile(
    rf"(?<![\w.-])-*(?P<name>(?:[\w.]*[._-])?(?:{'|'.join(_STEMS)}))(?![\w-])"
    # Not as far as the value of another name, as in learning_starts=n, batch_size=256.
    r"(?:(?!\b(?!(?:default|type|int|float)\b)\w+[\"']?\s*[=:])[^\n#<>*/%+-]){0,60}?"
    r"(?<![\w.])(?P<number>\d+(?:_\d+)*(?:\.\d*)?(?:e\d+)?)(?![\w.])",
    re.IGNORECASE,
)
_SOON_S = 1.0  # in a trial they are over then, before most of its blocks


class RandomSteps(NamedTuple):
    """The option by which a training takes them, their number, and where that stands."""

    name: str
    number: float
    place: str

    def doubt(self, steps_per_second: float) -> str | None:
        """Return what they may do to a speed that was read; `None` if they are over too soon."""
        seconds = self.number / steps_per_second
        if seconds < _SOON_S or not math.isfinite(seconds):
            return None
        return (
            f"{self.name} is {self.number:.9g} in {self.place}, {units.duration(seconds)} at the "
            "baseline's speed. If those steps are random and training comes after them, trials "
            "read the speed of random steps: say a few, such as 100, in the command."
        )


def random_steps(command: str, texts: Mapping[str, str]) -> RandomSteps | None:
    """Return what the command says of them, else what the first of its files does; else `None`."""
    for place, text in {"the command": command, **texts}.items():
        if match := _NAMED.search(text):
            return RandomSteps(match["name"], float(match["number"]), place)
    return None
