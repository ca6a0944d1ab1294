"""The options of a command, which all of its trials share, and one run's own arguments. Pure."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from search_spaces.config import Config
from trainables.command import template
from trainables.command.readings import Reading

FACTORY = "trainables.command.loop:command"
"""The name of the workload of every command."""

_PATIENCE_MARGIN_S = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions:
    """The command as a person gave it, and all else that its trials share.

    `arguments` and the values of `variables` are templates. `readings` are tried in order: the
    first that matches a line is used. Each trial has a `folder` of its own in `trials`, else among
    the temporary files; `keep_outputs` keeps it. `patience_s` is the longest wait for a line. `oom`
    is a pattern of the command's own words for a device whose memory is used up.
    """

    arguments: tuple[str, ...]
    readings: tuple[Reading, ...]
    trials: str | None = None
    folder: str | None = None
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    keep_outputs: bool = False
    seed: int = 0
    oom: str | None = None
    patience_s: float = 590.0


def patience_within(timeout_s: float) -> float:
    """Return the longest wait for a line that ends before the trial's time is up, in seconds."""
    return max(1.0, timeout_s - _PATIENCE_MARGIN_S)


def filled_in(
    config: Config, options: CommandOptions, folder: Path, environ: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the variables of one run, which stands in `folder`.

    Raises:
        TemplateError: if a brace has no value.
    """
    gpu = environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0]
    values = {
        **config,
        "trial_dir": str(folder),
        "seed": options.seed,
        "gpu": gpu if gpu.isdecimal() else "0",
    }
    arguments = [template.fill(text, values) for text in options.arguments]
    return arguments, {
        name: template.fill(text, values) for name, text in options.variables.items()
    }
