"""Fresh child processes that measure a profile's configuration under its own caps."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.node import limits, ray_env, thread_env
from cluster.node.secret_names import MASK, masked, masked_words, with_secret_words
from cluster.node.thread_env import Platform
from search_spaces.config import variables_of
from trainables import compile_cache
from trainables.command.options import FACTORY, patience_within
from trainables.measurement import Outcome, TrialRequest
from trainables.process import run_child
from tune.profile.file import ProfileError
from tune.profile.gpus import MeasuringGpus
from tune.profile.schema import EXPORTABLE, Profile, ProfileEnvironment

Measure = Callable[[], Outcome]


def environment(
    profile: Profile, platform: Platform, base: Mapping[str, str]
) -> ProfileEnvironment:
    """Return the profile's own caps, adapted to this machine.

    CPUs that are not allowed here are replaced by as many that are. The variables are the
    profile's on its own platform, and new ones on another. What a search sets right in every trial
    and no profile has, as JAX's switches for finding errors, is set right here, too.
    """
    allowed = limits.cpus().allowed
    here = thread_env.build(
        profile.threads.cap, platform, allowed, base, profile.workload.framework
    )
    recorded = profile.environment
    variables = here.variables
    if platform == profile.device:
        set_right = {
            name: value
            for name, value in variables.items()
            if name not in EXPORTABLE or name == thread_env.LOG_LEVEL
        }
        variables = set_right | recorded.variables
    return ProfileEnvironment(
        cpus=recorded.cpus if set(recorded.cpus) <= set(allowed) else here.cpus,
        variables=variables,
    )


def completed(
    profile: Profile,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    timeout_s: float | None,
) -> dict[str, Any]:
    """Return the profile's options of its workload with `options`, and with its secrets.

    What is secret of a command may be in the environment: a variable of its own, or a word.

    Raises:
        ProfileError: if a secret is missing.
    """
    found = profile.workload.options | dict(options)
    if profile.workload.factory == FACTORY:  # others may have options of these names
        variables, words = found.get("variables", {}), found.get("arguments", [])
        found["variables"] = {
            name: value for name, value in variables.items() if value != MASK or name not in environ
        }
        hidden = dict.fromkeys(masked_words(words).values(), MASK)
        found["arguments"] = with_secret_words(words, {**hidden, **environ})
        if timeout_s is not None:
            found.setdefault("patience_s", patience_within(timeout_s))
    if missing := masked(found):
        raise ProfileError(
            f"the profile does not hold what is secret, {', '.join(missing)}: give it here by "
            "--option NAME=VALUE, or what is a command's in the environment."
        )
    return found


@contextlib.contextmanager
def measuring(
    profile: Profile,
    *,
    platform: Platform,
    options: Mapping[str, Any],
    timeout_s: float | None,
    environ: Mapping[str, str] | None = None,
    gpus: MeasuringGpus | None = None,
) -> Iterator[Measure]:
    """Yield a function that measures the profile's configuration once, in a fresh child process.

    `options` replace the profile's own: data has another path on another machine. `gpus` are those
    to measure on, where that is not the first that CUDA shows. The child's log is in a temporary
    folder, which is kept where it says why nothing was measured.

    Raises:
        ProfileError: if an option is missing that is secret.
    """
    given = os.environ if environ is None else environ
    workload_options = completed(profile, options, given, timeout_s)
    chosen = variables_of(profile.config)
    base = ray_env.for_child(given) | chosen
    caps = environment(profile, platform, base)
    if any(name in caps.variables for name in thread_env.POOL_FRACTIONS):
        base = {n: v for n, v in base.items() if n not in thread_env.POOL_FRACTIONS}
    request = TrialRequest(
        workload=profile.workload.factory,
        config=profile.config,
        options=workload_options,
        platform=platform,
        cpus=caps.cpus,
        device_budget_bytes=profile.memory.device_budget_bytes,
    )
    folder = Path(tempfile.mkdtemp(prefix="validate-"))
    variables = thread_env.with_chosen(base | caps.variables, chosen)
    if gpus is not None:
        variables |= gpus.variables
    if profile.workload.framework == "jax":  # the first process's program is read by the next two
        variables |= compile_cache.variables(folder / "compiled", base)

    is_told = True

    def measure() -> Outcome:
        nonlocal is_told
        last = None
        for message in run_child(
            request,
            environment=variables,
            log_path=folder / "trial.log",
            thread_cap=len(caps.cpus),
            timeout_s=timeout_s,
            host_budget_bytes=profile.memory.host_budget_bytes,
            temporary=folder / "tmp",
        ):
            last = message
        assert isinstance(last, Outcome)
        is_told &= last.measurement is not None
        return last

    try:
        yield measure
    finally:
        shutil.rmtree(folder if is_told else folder / "compiled", ignore_errors=True)


def platform_for(profile: Profile, device: str, num_gpus: int) -> Platform:
    """Return the platform to measure on: the profile's own unless `device` says another.

    Raises:
        ProfileError: if that needs a GPU and there is none.
    """
    platform: Platform = profile.device
    if device != "auto":
        platform = "cuda" if device == "gpu" else "cpu"
    if platform == "cuda" and not num_gpus:
        if profile.device == "cpu":
            raise ProfileError(
                "--device gpu: NVML, the NVIDIA driver, shows none here. The profile is for a CPU: "
                "leave --device out to measure it there."
            )
        raise ProfileError(
            "the profile is for a GPU, and NVML, the NVIDIA driver, shows none here: check "
            "nvidia-smi, or compare with this machine's CPU by --device cpu."
        )
    return platform
