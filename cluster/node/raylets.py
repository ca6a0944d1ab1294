"""Ray's node processes on this host: the cluster of each, and how it takes a token.

A driver and its cluster must agree about tokens: with one too many, Ray drops each actor at its
start without a word. The host's own raylet knows. Stdlib only.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

CLIENT = "ray://"
"""The beginning of an address that Ray's client takes."""

JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""A variable that is set in a process that `ray job submit` runs."""

_ADDRESS = b"--gcs-address="
_TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_OF_RAY = ".ray/auth_token"  # where Ray looks last, in the home of whoever started it


def job_address(environ: Mapping[str, str]) -> str | None:
    """Return the address of the cluster that runs this process as a job, `None` if none does."""
    return environ.get("RAY_ADDRESS") or "auto" if JOB_CONFIG in environ else None


def token_variables(
    address: str, environ: Mapping[str, str], *, proc: Path = Path("/proc")
) -> dict[str, str] | None:
    """Return the variables that tell Ray of the token of the cluster at `address`.

    They are those of `environ`, if it has any, else those of the raylet on this host: empty for a
    cluster that takes no token. `None` if there is no such raylet, or it is another user's. Through
    Ray's client there is none on this host, and what a person set counts alone.
    """
    if (given := _of(environ)) or address.startswith(CLIENT):
        return given
    if address == "auto":
        address = environ.get("RAY_ADDRESS") or address
    host, _, port = address.partition(":")
    raylets = [(gcs, own) for gcs, own in _raylets(proc) if host == "auto" or _fits(gcs, port)]
    raylets.sort(key=lambda one: _likeness(one[0], host))
    for _, own in raylets:
        variables = _of(own)
        if variables.get("RAY_AUTH_MODE") == "token" and len(variables) == 1 and "HOME" in own:
            return variables | {"RAY_AUTH_TOKEN_PATH": f"{own['HOME']}/{_OF_RAY}"}
        return variables
    return None


def _of(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in _TOKEN_VARIABLES if environ.get(name)}


def _fits(gcs: str, port: str) -> bool:
    return gcs.rpartition(":")[2] == (port or "6379")


def _likeness(gcs: str, host: str) -> int:
    """Return 0 for the host's own cluster; a private Ray, as that of another search, comes last."""
    known = gcs.partition(":")[0]
    return 0 if known == host else 1 + known.startswith("127.")


def _raylets(proc: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the address of each raylet's head, and the raylet's environment."""
    for folder in proc.glob("[0-9]*"):
        try:
            if (folder / "comm").read_bytes().strip() != b"raylet":
                continue
            words = (folder / "cmdline").read_bytes().split(b"\0")
            pairs = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended, or is another user's
            continue
        found = [word for word in words if word.startswith(_ADDRESS)]
        if found:
            split = [pair.decode(errors="replace").partition("=") for pair in pairs if pair]
            gcs = found[0].removeprefix(_ADDRESS).decode(errors="replace")
            yield gcs, {name: value for name, _, value in split}
