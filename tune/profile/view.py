"""A profile as text for people, and as lines for a shell. Pure."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from cluster.node.secret_names import MASK, masked_words
from cluster.pages import units
from cluster.structure import revive
from search_spaces.config import config_cell, config_name, config_text, variables_of
from trainables.command.options import FACTORY, CommandOptions, filled_in
from trainables.measurement import OutcomeKind
from tune.profile.schema import Profile
from tune.summary import outcomes
from tune.summary.trials import proven_speed, soak_noun

Rows = list[tuple[str, str]]
STYLES = {"differs": "yellow"}


def sections(profile: Profile, differences: Sequence[str]) -> dict[str, Rows]:
    """Return rows of label and text by heading; what was not measured has no row."""
    state = "confirmed by finals" if profile.confirmed else "not confirmed by finals"
    if profile.partial:
        state += ", from an interrupted search"
    task = profile.mode if profile.phase is None else f"{profile.mode} phase {profile.phase}"
    rows = {
        f"{task}, {profile.kind} on {profile.device}": [
            ("configuration", config_text(profile.config)),
            ("speed", _speed(profile)),
            ("compared", _compared(profile)),
            ("learning", _learning(profile)),
            ("soak", _soak(profile)),
            ("proof", f"{state}, {profile.created_at}"),
        ],
        "Resources": [
            ("device memory", _device_memory(profile)),
            ("host memory", _host_memory(profile)),
            ("threads", _threads(profile)),
            ("CPUs", units.cpu_ranges(profile.environment.cpus)),
            *profile.environment.variables.items(),
        ],
        "Origin": [
            ("data", _data(profile)),
            ("workload", profile.workload.factory),
            ("search", f"{profile.search.study}, {units.duration(profile.search.wall_s)}"),
            ("trials", _trials(profile)),
            ("stopped", profile.search.stop_reason),
        ],
        "Machine": [
            ("class", profile.machine_class),
            ("CPU", f"{profile.machine.cpu_model}, {profile.machine.num_cpus} CPUs"),
            ("GPU", ", ".join(gpu.name for gpu in profile.machine.gpus)),
            ("versions", ", ".join(f"{k} {v}" for k, v in profile.machine.versions.items())),
        ],
    }
    if differences:
        rows["This machine is another"] = [("differs", text) for text in differences]
    return {
        heading: [(label, text) for label, text in lines if text] for heading, lines in rows.items()
    }


def list_row(path: Path, profile: Profile) -> tuple[str, str, str, str]:
    """Return a profile's row in a list: file, configuration, speed, and state of proof."""
    low, high = profile.speed.low, profile.speed.high
    state = "partial" if profile.partial else "confirmed" if profile.confirmed else "not confirmed"
    state += ", disturbed" if profile.speed.disturbed else ""
    return (
        path.name,
        config_cell(profile.config),
        f"{units.speed_interval(profile.expected_sps, low, high)} {profile.unit}/s",
        f"{state}, {profile.created_at[:10]}",
    )


def exports(profile: Profile, allowed_cpus: Sequence[int]) -> list[str]:
    """Return lines for a shell's `eval`: the caps as exports, and the CPUs as a comment.

    Binding to the CPUs is the stronger half of the cap, because XLA sizes its pools by them; but
    that is for the training command, not for the person's shell.
    """
    environment, cpus, hint = profile.environment, _cpus(profile, allowed_cpus), ""
    if cpus != environment.cpus:
        hint = f" (CPUs {units.cpu_ranges(environment.cpus)} of the profile are not allowed here)"
    return [
        *(f"export {name}={_quoted(value)}" for name, value in environment.variables.items()),
        f"# bind training to the CPUs, or the caps are half a cap{hint}:",
        f"#   taskset -c {units.cpu_ranges(cpus)} YOUR TRAINING",
    ]


def training_command(profile: Profile, allowed_cpus: Sequence[int]) -> str:
    """Return the finished line for a shell that trains with a profile, caps and all.

    Of a command it is that command. Another workload is a person's own to start.
    """
    words = ["YOUR", "TRAINING"]
    variables = dict(profile.environment.variables)
    if profile.workload.factory == FACTORY:
        options = revive(CommandOptions, profile.workload.options)
        words, own = filled_in(profile.config, options, Path("."), {})
        variables |= variables_of(profile.config) | own
    head = [
        f'{name}="${name}"' if value == MASK else f"{name}={shlex.quote(value)}"
        for name, value in variables.items()
    ]
    bound = f"taskset -c {units.cpu_ranges(_cpus(profile, allowed_cpus))}"
    return " ".join([*head, bound, *_shell_words(words)])


def _shell_words(words: Sequence[str]) -> list[str]:
    """Return a command's words for a shell, with variables in place of what is secret."""
    secrets, quoted = masked_words(words), []
    for place, word in enumerate(words):
        given = word.removesuffix(MASK) if place in secrets else word
        secret = f'"${secrets[place]}"' if place in secrets else ""
        quoted.append((shlex.quote(given) if given or not secret else "") + secret)
    return quoted


def _cpus(profile: Profile, allowed: Sequence[int]) -> tuple[int, ...]:
    """Return the profile's CPUs, or as many that are allowed here where one of them is not."""
    cpus = profile.environment.cpus
    return cpus if set(cpus) <= set(allowed) else tuple(allowed[: len(cpus)])


def cost(profile: Profile, steps: float, price: float | None) -> str:
    """Return the time that so many steps take, by the promise, and the dollars at `price` an hour.

    The start-up of one process is in it.
    """
    start_s = profile.speed.startup_s + profile.speed.build_s + (profile.speed.compile_s or 0.0)
    middle, least, *most = (
        start_s + steps / speed
        for speed in (profile.expected_sps, profile.speed.high, profile.speed.low)
        if speed  # an interval may reach down to a standstill
    )
    took = [units.duration(seconds) for seconds in (middle, least, *most)]
    text = f"{steps:,.0f} {profile.unit} take {took[0]} ({_range(took[1:])})"
    if price is None:
        return f"{text}."
    dollars = [f"${price * seconds / 3600:,.2f}" for seconds in (middle, least, *most)]
    return f"{text} and {dollars[0]} ({_range(dollars[1:])}) at ${price:g} an hour."


def _range(bounds: Sequence[str]) -> str:
    return " to ".join(bounds) if len(bounds) > 1 else f"{bounds[0]} or more"


def _quoted(value: str) -> str:
    quoted = shlex.quote(value)
    return quoted if quoted.startswith("'") else f"'{quoted}'"


def _speed(profile: Profile) -> str:
    speed = profile.speed
    compiles = "" if speed.compile_s is None else f"; compiles in {units.duration(speed.compile_s)}"
    proven = proven_speed(
        profile.expected_sps, speed.low, speed.high, speed.num_processes, profile.unit
    )
    disturbed = "; every process that counts was disturbed" if speed.disturbed else ""
    return f"{proven}{disturbed}{compiles}"


def _compared(profile: Profile) -> str:
    baseline = profile.baseline
    if baseline is None:
        return ""
    if baseline.config == profile.config:
        return "it is the search's baseline itself"
    against = f"{config_name(baseline.config)} at {units.speed(baseline.steps_per_second)}"
    if baseline.disturbed or profile.speed.disturbed:
        return f"not comparable with {against}: one of the two was disturbed"
    if baseline.speedup_low <= 1.0 <= baseline.speedup_high:
        return f"no more than noise apart from {against}"
    bounds = units.times_interval(baseline.speedup_low, baseline.speedup_high)
    return f"{units.times(baseline.speedup, 1.0)} ({bounds}) the speed of {against}"


def _soak(profile: Profile) -> str:
    soak = profile.soak
    if soak is None:
        return ""
    noun = soak.counted or soak_noun(is_command=profile.workload.factory == FACTORY)
    done = units.of_planned(soak.updates, soak.asked_updates, noun)
    return f"{done} in {units.duration(soak.measure_s)}, {units.speed(soak.steps_per_second)}"


def _learning(profile: Profile) -> str:
    own = profile.learning
    if own is None:
        return ""
    source = "" if own.held_out is None else f", on the last {own.held_out:.0%} of the data"
    seeds = f"over {units.plural(own.num_seeds, 'seed')}{source}"
    if own.seconds is None or own.low is None or own.high is None or own.target is None:
        of = units.fine_duration(own.training_s)
        if own.final_return is None:
            target = "the target" if own.target is None else f"{own.target:g}"
            return f"{target} was not reached by every seed in {of} of training, {seeds}"
        return f"a return of {own.final_return:.4g} after {of} of training, {seeds}"
    interval = f"{units.fine_duration(own.low)} to {units.fine_duration(own.high)}"
    return (
        f"{own.target:g} after {units.fine_duration(own.seconds)} of training ({interval}), {seeds}"
    )


def _device_memory(profile: Profile) -> str:
    memory = profile.memory
    figures = [
        f"{units.size(value)} {how}"
        for value, how in (
            (memory.peak_device_bytes, "measured"),
            (memory.predicted_device_bytes, "predicted"),
        )
        if value is not None
    ]
    budget = units.size(memory.device_budget_bytes)
    return f"{', '.join(figures)}; {budget} allowed" if figures else ""


def _host_memory(profile: Profile) -> str:
    memory = profile.memory
    if memory.peak_host_bytes is None:
        return ""
    return f"{units.size(memory.peak_host_bytes)}; {units.size(memory.host_budget_bytes)} allowed"


def _threads(profile: Profile) -> str:
    threads = profile.threads
    peak = "" if threads.peak_threads is None else f"{threads.peak_threads} at most, "
    limit = ""
    if threads.binding_limit is not None and threads.room is not None:
        limit = f"; {threads.binding_limit} had room for {threads.room:,}"
    return f"{peak}under a cap of {threads.cap}{limit}"


def _data(profile: Profile) -> str:
    source = str(profile.data.get("source", ""))
    digest = str(profile.data.get("sha256", ""))[:12]
    return f"{source} (sha256 {digest}...)" if digest else source


def _trials(profile: Profile) -> str:
    return outcomes.counts_text(
        {OutcomeKind(name): count for name, count in profile.search.trials.items()}
    )
