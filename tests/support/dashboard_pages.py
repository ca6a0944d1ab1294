"""Ray's dashboard as a person sees it, by its own API."""

import json
from collections.abc import Callable


def workers_shown(url: str, get: Callable[[str], str]) -> set[str]:
    """The names of the workers on the dashboard's pages of all hosts; `get` asks a URL."""
    hosts = json.loads(get(f"{url}/nodes?view=summary"))["data"]["summary"]
    pages = [json.loads(get(f"{url}/nodes/{host['raylet']['nodeId']}")) for host in hosts]
    details = [page["data"]["detail"] for page in pages]
    return {worker["cmdline"][0] for one in details for worker in one.get("workers", ())}
