"""A real search's dashboard and Jobs API, on the laptop, through the tunnel that `watch` holds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.node import ray_env
from netns_hosts import Lab, lab, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        bool(ray_env.missing_dashboard_packages()),
        reason="needs ray[default], for the dashboard: make test-dashboard",
    ),
]

SEARCH = (  # it pretends to train, for longer than this test looks at it
    *("--", "python", "-m", "tune.jax_phase12"),
    *("--workload", "tests.support.surface_workload:factory"),
    *("--memory-budget", "120MB", "--max-runs", "40", "--patience", "40"),
    *("--space", "num_envs=64:256", "num_steps=32", "batch_size=512,1024"),
)
TOKEN = "cat /tmp/rl-tuner-$(id -u)/ray_token"  # as cluster/README.md says
GET = """
import sys, urllib.error, urllib.request
headers = {"Authorization": "Bearer " + sys.argv[2]} if sys.argv[2] else {}
asked = urllib.request.Request(sys.argv[1], headers=headers)
try: print(urllib.request.urlopen(asked, timeout=20).status)
except urllib.error.HTTPError as error: print(error.code)
except OSError as error: print(error)
"""


def on_laptop(fleet: Lab, *words: str, timeout_s: float = 60) -> str:
    done = subprocess.run(
        fleet.laptop.enter(words), capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def token_over_ssh(fleet: Lab, address: str) -> str:
    known = fleet.folder / ".fleet" / "hosts" / "a.known_hosts"
    options = ("-i", str(fleet.key), "-o", f"UserKnownHostsFile={known}")
    return on_laptop(fleet, "ssh", *options, f"root@{address}", TOKEN).strip()


def test_dashboard_and_jobs_api_answer_to_the_boxs_token_alone(tmp_path: Path) -> None:
    with lab(tmp_path) as fleet:
        box = fleet.add_box("a")
        fleet.write_hosts()
        fleet.fleet("up", "--accept-new", "--python", sys.executable)
        fleet.fleet("submit", "--dashboard", *SEARCH)
        watch = fleet.open_fleet("watch", "--every", "1", "--dashboard")
        assert watch.stdout is not None
        url = next(line for line in watch.stdout if "Ray's dashboard: " in line).split()[-1]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        token = token_over_ssh(fleet, box.address)

        def get(path: str, token: str) -> str:
            return on_laptop(fleet, sys.executable, "-c", GET, f"{url}{path}", token).strip()

        wait_for(lambda: get("/api/jobs/", token) == "200", "the Jobs API")
        for path in ("/api/jobs/", "/nodes?view=summary", "/api/v0/actors"):
            answers = {"none": get(path, ""), "wrong": get(path, "0" * 64), "own": get(path, token)}
            assert answers == {"none": "401", "wrong": "403", "own": "200"}, path
        (tmp_path / "token").touch(mode=0o600)
        (tmp_path / "token").write_text(token)
        auth = ("RAY_AUTH_MODE=token", f"RAY_AUTH_TOKEN_PATH={tmp_path}/token")
        ray = str(Path(sys.executable).with_name("ray"))
        listed = on_laptop(fleet, "env", *auth, ray, "job", "list", "--address", url)
        assert "type=<JobType.DRIVER: 'DRIVER'>" in listed  # the search itself
        fleet.kill(watch)
        assert "a  ended the job search-" in fleet.fleet("down").stdout
        assert box.processes("raylet") == []
