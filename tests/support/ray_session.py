"""Start Ray as a search does, run trials under Ray Tune in it, and print what was seen as JSON.

Arguments: the number of CPUs for Ray, then, as JSON, the command of the one trial; without one, two
trials on each CPU sleep. With a third argument, `strangers`, what strangers see of
this Ray is told, too.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil

from cluster.node import listeners, ray_env


def main(num_cpus: int, command: list[str], *, asks_strangers: bool) -> None:
    ray_env.exec_into(ray_env.environment(os.environ))
    temp_dir = Path(tempfile.mkdtemp(dir=ray_env.prepare(os.environ)))
    try:
        print(json.dumps(_session(num_cpus, command, temp_dir, asks_strangers)))
    finally:
        shutil.rmtree(temp_dir)


def _session(
    num_cpus: int, command: list[str], temp_dir: Path, asks_strangers: bool
) -> dict[str, object]:
    import ray
    import ray.tune

    ray.init(**ray_env.init_arguments(num_cpus=num_cpus, num_gpus=0, temp_dir=temp_dir))
    exposed = [str(listener) for listener in listeners.exposed_listeners()]
    address = ray.get_runtime_context().gcs_address
    right = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text()
    tokens = {"none": None, "wrong": "0" * 64, "right": right} if asks_strangers else {}
    num_trials = 1 if command else 2 * num_cpus
    strangers = {name: _read_by_stranger(address, token) for name, token in tokens.items()}
    peak = _Peak()
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(_trial, {"cpu": 1}),
        param_space={"number": ray.tune.grid_search(list(range(num_trials))), "command": command},
        run_config=ray.tune.RunConfig(storage_path=str(temp_dir), verbose=0),
    )
    results = tuner.fit()
    peak.stop()
    errors = [str(result.error) for result in results if result.error]
    printed = [(result.metrics or {}).get("printed") for result in results]
    ray.shutdown()
    return {
        "ray_threads": peak.threads,
        "exposed": exposed,
        "strangers": strangers,
        "errors": errors,
        "printed": printed,
    }


def _trial(config: dict[str, object]) -> None:
    import ray.tune

    command = config["command"] or ["sleep", "1"]
    env = ray_env.as_given(os.environ)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)  # type: ignore[call-overload]
    ray.tune.report({"printed": done.stdout})


def _read_by_stranger(address: str, token: str | None) -> str:
    """Ask Ray's control store for its keys with this token; return the keys, or what was said."""
    env = ray_env.as_given(os.environ) | {"RAY_AUTH_MODE": "disabled"}
    if token is not None:
        env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    code = (
        "from ray._raylet import GcsClient\n"
        f"keys = GcsClient(address={address!r}).internal_kv_keys(b'', None, timeout=10)\n"
        "print('read', len(keys), 'keys')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout or done.stderr


class _Peak:
    """The most threads of Ray's own processes: those of this tree, less the trials' children."""

    def __init__(self) -> None:
        self.threads = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            self.threads = max(self.threads, self._count())

    @staticmethod
    def _count() -> int:
        me, threads = psutil.Process(), 0
        for process in [me, *me.children(recursive=True)]:
            try:
                threads += process.num_threads()
            except psutil.NoSuchProcess:
                continue
        return threads


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]), asks_strangers="strangers" in sys.argv[3:])
