"""One machine with several GPUs: exploring uses all, what is compared runs alone on one.

The GPUs are a fake driver's; the training is a command that sleeps and says what it sees.
"""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fake_nvml import FOLDER, card
from places import PYTHONPATH
from search_command import environment

pytestmark = [pytest.mark.slow, pytest.mark.seconds(430), pytest.mark.timeout(600)]

SCRIPT = """
import os, sys, time
from pathlib import Path
begun = Path(__file__).resolve().with_name("begun")
try:
    begun.mkdir()  # by the probe, which runs alone
except FileExistsError:
    (begun / str(os.getpid())).touch()
    while len(list(begun.iterdir())) < int(os.environ.get("AWAITED", "1")):
        time.sleep(0.1)  # until as many run as shall run at once
print("began", time.time())
print("sees", os.environ.get("CUDA_VISIBLE_DEVICES"), sorted(os.sched_getaffinity(0)), flush=True)
num_envs, lost, *gpus = int(sys.argv[1]), *sys.argv[2:]
speedup = int(gpus[0]) ** 0.6 if gpus else 1.0
if os.environ["CUDA_VISIBLE_DEVICES"] == os.environ.get("SLOW"):
    speedup = 0.6
if os.environ["CUDA_VISIBLE_DEVICES"] == "1" and lost != "never" and not os.path.exists(lost):
    time.sleep(2)
    open(lost, "x").close()  # now the driver says so, too
    sys.exit("CUDA_ERROR_UNKNOWN: unknown error")
while True:
    time.sleep((0.08 + num_envs / 2500) / speedup)  # a late wake-up is little of it
    print("frames", flush=True)
"""
SEARCH = (
    *("--line", "^frames", "--steps", "num_envs", "--unit", "frame", "--out", "out"),
    *("--max-runs", "6", "--finalists", "1", "--soak-updates", "5"),
)
SPACE = ("--space", "num_envs=4:128")


def searched(
    folder: Path,
    cards: list[dict[str, Any]],
    *words: str,
    lost: str = "never",
    of_command: tuple[str, ...] = (),
    **variables: str,
) -> str:
    """Search on a machine with these cards, and return what was said.

    GPU 1 is lost in its first trial if `lost` is a file to say so.
    """
    (folder / "script.py").write_text(SCRIPT)
    driver = {"PYTHONPATH": f"{FOLDER}:{PYTHONPATH}", "FAKE_NVML": json.dumps({"cards": cards})}
    command = (sys.executable, "script.py", "{num_envs}", lost, *of_command)
    space = () if "--space" in words else SPACE
    done = subprocess.run(
        [sys.executable, "-m", "tune.command", *SEARCH, *space, *words, "--", *command],
        cwd=folder,
        env=environment(**driver, **variables),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def trials_of(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "out" / "trials.json").read_text())["trials"])


def log_of(folder: Path, trial: dict[str, Any]) -> str:
    [log] = (folder / "out" / "trials").glob(f"{trial['number']:03d}-*.log")
    return log.read_text()


def gpu_of(folder: Path, trial: dict[str, Any]) -> str:
    """The GPU that the trial's process saw, by its log."""
    found = re.search(r"^sees (\S+) ", log_of(folder, trial), re.MULTILINE)
    assert found, log_of(folder, trial)
    return found[1]


def began(folder: Path, trial: dict[str, Any]) -> float:
    """When the trial's process began: before that it may have waited for its GPUs."""
    found = re.search(r"^began (\S+)$", log_of(folder, trial), re.MULTILINE)
    assert found, log_of(folder, trial)
    return float(found[1])


def beside(
    folder: Path, trial: dict[str, Any], trials: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The trials that ran while this one did."""
    return [
        other
        for other in trials
        if other["number"] != trial["number"]
        and began(folder, other) < trial["ended_at"]
        and other["ended_at"] > began(folder, trial)
    ]


COMPARED = {"final", "soak"}
FEW = ("--max-runs", "2", "--final-rounds", "1", "--soak-updates", "0")


def test_exploring_takes_all_gpus_and_finals_run_alone_on_the_first(tmp_path: Path) -> None:
    gpus = {"2", "3"}  # of four, two are shown
    cards = [card() for _ in range(4)]
    said = searched(tmp_path, cards, "--finals", "alone", CUDA_VISIBLE_DEVICES="2,3")
    for number, gpu in enumerate(sorted(gpus), start=1):
        assert f"place {number}: GPU {gpu}, CPU" in said
    trials = trials_of(tmp_path)
    explored = [trial for trial in trials if trial["stage"] not in COMPARED]
    compared = [trial for trial in trials if trial["stage"] in COMPARED]
    assert {gpu_of(tmp_path, trial) for trial in explored} <= gpus
    assert len({gpu_of(tmp_path, trial) for trial in explored}) > 1
    for trial in explored:
        others = {gpu_of(tmp_path, other) for other in beside(tmp_path, trial, trials)}
        assert gpu_of(tmp_path, trial) not in others
    assert {gpu_of(tmp_path, trial) for trial in compared} == {min(gpus)}
    assert [other for trial in compared for other in beside(tmp_path, trial, trials)] == []
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    profile = yaml.safe_load(path.read_text())
    beside_others = profile["search"]["side_by_side"]
    assert (beside_others["exploring"], beside_others["finals"]) == (2, "alone")
    affinity = re.search(r"^sees 2 (.*)$", log_of(tmp_path, compared[0]), re.MULTILINE)
    assert affinity is not None
    assert profile["environment"]["cpus"] == json.loads(affinity[1])


def test_a_gpu_that_is_slower_than_the_others_is_named_and_left_out(tmp_path: Path) -> None:
    said = searched(tmp_path, [card(), card()], SLOW="0")
    assert re.search(r"^GPU 0 ran the baseline at 0\.[56]\d x the speed of the others", said, re.M)
    assert re.search(r"^  warning: GPU 0 ran the baseline at 0\.[56]", said, re.M)
    trials = trials_of(tmp_path)
    [other] = [trial for trial in trials if trial["stage"] == "gpu"]
    assert other["outcome"]["gpus"] == ["1"]
    later = [trial for trial in trials if trial["started_at"] > other["ended_at"]]
    assert later
    assert {gpu_of(tmp_path, trial) for trial in later} == {"1"}
    assert {trial["stage"] for trial in later} >= COMPARED


def test_finals_take_all_gpus_if_the_baseline_is_as_fast_beside_the_others(tmp_path: Path) -> None:
    said = searched(tmp_path, [card(), card()], "--finalists", "3")
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    told = yaml.safe_load(path.read_text())["search"]["side_by_side"]
    pair = told["pair"]
    assert pair["num_beside"] == 1
    row = r"side by side: beside 1 other trial the baseline steps at (\S+) x its speed alone"
    found = re.search(row, said)
    assert found, said
    assert float(found[1]) == pytest.approx(pair["ratio"], abs=0.01)
    trials = trials_of(tmp_path)
    first, *others = [trial for trial in trials if trial["stage"] == "final"]
    assert first["config"] == trials[0]["config"]  # the baseline
    assert beside(tmp_path, first, trials) == []
    is_alike = pair["low"] > 0.97 and pair["high"] < 1.031
    assert told["finals"] == ("together" if is_alike else "alone")
    used = {gpu_of(tmp_path, trial) for trial in others}
    assert used == ({"0", "1"} if is_alike else {"0"})


def test_finals_together_take_all_gpus(tmp_path: Path) -> None:
    searched(tmp_path, [card(), card()], "--finals", "together", "--finalists", "3")
    finals = [trial for trial in trials_of(tmp_path) if trial["stage"] == "final"]
    assert {gpu_of(tmp_path, trial) for trial in finals} == {"0", "1"}
    # One is asked for while another one has not ended, whenever its process then begins.
    pairs = itertools.pairwise(finals)
    assert any(second["started_at"] < first["ended_at"] for first, second in pairs)


def test_training_on_several_gpus_has_them_to_itself_and_is_told_what_they_are_worth(
    tmp_path: Path,
) -> None:
    axes = ("--space", "num_envs=16:64", "num_devices=1,2")
    said = searched(
        tmp_path, [card(), card()], *axes, "--max-runs", "5", of_command=("{num_devices}",)
    )
    trials = trials_of(tmp_path)
    for trial in trials:
        seen = gpu_of(tmp_path, trial)
        assert seen in ({"0,1"} if trial["config"]["num_devices"] == 2 else {"0", "1"})
        others = ",".join(gpu_of(tmp_path, other) for other in beside(tmp_path, trial, trials))
        assert set(seen.split(",")).isdisjoint(others.split(","))
    finals = {trial["config"]["num_devices"] for trial in trials if trial["stage"] == "final"}
    assert finals == {1, 2}
    assert re.search(r"^  1 GPU: .* \(100%\): num_envs 64, num_devices 1$", said, re.MULTILINE)
    assert re.search(r"^  2 GPUs: .* \(7\d%\): num_envs 64, num_devices 2$", said, re.MULTILINE)
    assert re.search(r"rent: 2 trainings on 1 GPU step 1\.\d+ x what one on 2 GPUs does", said)
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    profile = yaml.safe_load(path.read_text())
    assert profile["config"]["num_devices"] == 2
    log = log_of(tmp_path, next(one for one in trials if one["stage"] == "soak"))
    affinity = re.search(r"^sees 0,1 (.*)$", log, re.MULTILINE)
    assert affinity is not None
    assert profile["environment"]["cpus"] == json.loads(affinity[1])


def test_more_gpus_for_one_training_than_there_are_is_refused(tmp_path: Path) -> None:
    axes = ("--space", "num_envs=16:64", "num_devices=2,4")
    said = "num_devices 4: this machine has 2 GPUs for trials: take none above."
    with pytest.raises(AssertionError, match=said):
        searched(tmp_path, [card(), card()], *axes, of_command=("{num_devices}",))


def test_gpu_that_is_lost_costs_its_trial_and_the_others_go_on(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    cards = [card(), card(lost_when=str(lost)), card()]
    said = searched(tmp_path, cards, lost=str(lost))
    assert "GPU 1 does not answer (GPU is lost): it is left out." in said
    trials = trials_of(tmp_path)
    on_it = [trial for trial in trials if gpu_of(tmp_path, trial) == "1"]
    assert [trial["outcome"]["kind"] for trial in on_it] == ["node_lost"]
    assert "its GPU 1 does not answer: GPU is lost" in on_it[0]["outcome"]["message"]
    again = [one for one in trials if one["config"] == on_it[0]["config"] and one not in on_it]
    assert again
    assert {trial["outcome"]["kind"] for trial in again} <= {"completed", "slow"}


def test_more_gpus_than_there_are_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="--gpus 3 are not there: 2 of one kind"):
        searched(tmp_path, [card(), card()], "--gpus", "3")


def test_each_kind_of_gpu_has_a_search_of_its_own_at_the_same_time(
    tmp_path: Path, short_dir: Path
) -> None:
    """They share the machine: no CPU is of both, and each profile says that the other ran."""
    other = card("NVIDIA GeForce RTX 3090", total_gib=24, free_gib=23)
    # Searches of one folder for temporary files see each other, and here only these two shall.
    said = searched(tmp_path, [card(), other], TMPDIR=str(short_dir))
    assert "2 searches at once, one per kind of GPU: " in said
    folders = sorted((tmp_path / "out").iterdir())
    names = [folder.name for folder in folders]
    assert [name.split("-")[1] for name in names] == ["3090", "4000"]
    assert "Another search" not in said
    seen, cpus, spans = set(), [], []
    for folder, name in zip(folders, names, strict=True):
        assert f"{name}  Searching script." in said
        trials = json.loads((folder / "trials.json").read_text())["trials"]
        logs = [path.read_text() for path in (folder / "trials").glob("*.log")]
        found = {match for log in logs for match in re.findall(r"^sees (\S+) (.*)$", log, re.M)}
        [(gpu, affinity)] = found
        seen.add(gpu)
        cpus.append(set(json.loads(affinity)))
        spans.append((trials[0]["started_at"], trials[-1]["ended_at"]))
        [path] = (tmp_path / "profiles").glob(f"{name}-*-fastest.yaml")
        profile = yaml.safe_load(path.read_text())
        assert profile["search"]["side_by_side"]["searches"] == [
            one for one in names if one != name
        ]
        assert profile["machine"]["num_cpus"] == len(os.sched_getaffinity(0))
    assert seen == {"0", "1"}
    assert cpus[0].isdisjoint(cpus[1])
    (began, ended), (began_other, ended_other) = spans
    assert began < ended_other
    assert began_other < ended


def test_one_kind_of_gpu_can_be_searched_alone(tmp_path: Path) -> None:
    other = card("NVIDIA GeForce RTX 3090", total_gib=24, free_gib=23)
    searched(tmp_path, [card(), other], "--machine-class", "rtx-3090-24gb-130w", *FEW)
    assert {gpu_of(tmp_path, trial) for trial in trials_of(tmp_path)} == {"1"}
    [path] = (tmp_path / "profiles").glob("*-fastest.yaml")
    assert "side_by_side" not in yaml.safe_load(path.read_text())["search"]


def test_a_part_of_a_search_is_of_one_kind_and_a_trial_needs_a_cpu_of_its_own(
    tmp_path: Path,
) -> None:
    """The machine that finishes it has that kind alone."""
    num_cpus = len(os.sched_getaffinity(0))
    other = card("NVIDIA GeForce RTX 3090", total_gib=24, free_gib=23)
    alike = [card() for _ in range(num_cpus + 1)]
    said = searched(tmp_path, [*alike, other], "--shard", "1/2", *FEW)
    few = f"the number of CPUs has room for trials on {num_cpus} of {num_cpus + 1} GPUs"
    assert f"{few}: the others stay idle." in said
    used = {gpu_of(tmp_path, trial) for trial in trials_of(tmp_path)}
    assert used <= {str(number) for number in range(num_cpus)}


def test_each_of_many_gpus_explores(
    tmp_path: Path, fake_cpus: Callable[[int], dict[str, str]]
) -> None:
    num_gpus = 8
    cards = [card() for _ in range(num_gpus)]
    variables = fake_cpus(2 * num_gpus)
    words = ("--max-runs", "12", "--finals", "alone")
    said = searched(tmp_path, cards, *words, AWAITED=str(num_gpus), **variables)
    places = re.findall(r"^  place \d: GPU (\d), CPUs (\d+)-(\d+)$", said, re.MULTILINE)
    assert [gpu for gpu, _, _ in places] == [str(n) for n in range(num_gpus)]
    taken = [cpu for _, low, high in places for cpu in range(int(low), int(high) + 1)]
    assert sorted(taken) == list(range(2 * num_gpus))
    trials = trials_of(tmp_path)
    baselines = [trial for trial in trials if trial["stage"] in {"baseline", "gpu"}]
    assert sorted(gpu_of(tmp_path, trial) for trial in baselines) == [gpu for gpu, _, _ in places]
    compared = [trial for trial in trials if trial["stage"] in COMPARED]
    assert {gpu_of(tmp_path, trial) for trial in compared} == {"0"}
    assert [other for trial in compared for other in beside(tmp_path, trial, trials)] == []
    for trial in baselines:
        others = [gpu_of(tmp_path, other) for other in beside(tmp_path, trial, baselines)]
        assert sorted([gpu_of(tmp_path, trial), *others]) == [gpu for gpu, _, _ in places]
