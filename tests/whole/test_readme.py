import dataclasses
import re
import subprocess
import sys

import pytest

import factories
from cluster.node import ray_env, thread_env
from cluster.node.limits import Cpus
from machines import room_for
from places import ROOT
from trainables.classify import classify
from trainables.command import folder
from trainables.curve import LearningCurve
from tune.summary.outcomes import EXPLANATIONS
from tune.summary.trials import outcome_label

README = (ROOT / "README.md").read_text()


def test_the_gymnax_example_in_the_readme_is_the_one_that_is_tested() -> None:
    example = (ROOT / "tests" / "gymnax_cartpole.py").read_text()
    assert example.rstrip() in README
    assert len(example.splitlines()) <= 30


def test_every_outcome_is_explained_in_the_codes_own_words() -> None:
    for kind, advice in EXPLANATIONS.items():
        assert f"| `{kind}` | {advice.short} | {advice.means} | {advice.do} |" in README


def test_other_words_of_the_screen_for_a_measured_trial_are_below_the_table() -> None:
    curve = LearningCurve(seconds=(1.0,), env_steps=(1,), returns=(1.0,))
    changed = (
        {"disturbed": True},
        {"curve": curve},
        {"curve": dataclasses.replace(curve, fell_behind=True)},
    )
    section = README.split("## Your training died")[1].split("\n## ")[0]
    for changes in changed:
        measured = factories.measurement(**changes)
        label = outcome_label(factories.trial(outcome=factories.outcome(measurement=measured)))
        assert f"`{label}`" in section


@pytest.mark.parametrize("module", ["tune.jax_phase12", "tune.preflight", "tune.profile"])
def test_every_option_in_the_readme_exists(module: str) -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    ).stdout
    command = f"python -m {module}"
    # What stands before the command is another program's, as `ray job submit --address` is.
    lines = [line.partition(command)[2] for line in README.splitlines() if command in line]
    assert lines
    for option in {word for line in lines for word in re.findall(r"(?<!\S)--[a-z][a-z-]+", line)}:
        assert option in help_text, f"{option} of the README is no option of {module}"


def test_every_option_of_the_search_table_exists() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "tune.jax_phase12", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    ).stdout
    search = README.split("## Search")[1].split("## What happens")[0]
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", search)):
        assert option in help_text, f"{option} of the README is no option"


def test_the_files_it_links_to_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_headings_it_links_to_exist() -> None:
    for file, heading in re.findall(r"\]\(([\w/.]*)#([^)]+)\)", README):
        text = (ROOT / (file or "README.md")).read_text()
        found = re.findall(r"^#+ (.*)$", text, re.M)
        anchors = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in found}
        assert heading in anchors, f"{file}#{heading}"


def test_the_log_lines_of_the_table_have_its_outcomes() -> None:
    rows = re.findall(r"^\| (.*) \| `(\w+)` \|", README.split("## Your training died")[1], re.M)
    lines = [(line, kind) for lines, kind in rows for line in re.findall("`([^`]+)`", lines)]
    assert len(lines) > 10
    for line, kind in lines:
        assert classify(1, line)[0] == kind, line


def test_a_search_asks_for_as_many_threads_as_it_says() -> None:
    least, trial = needed_threads("cpu", 1), thread_env.expected_threads(1, "cpu")
    ray, on_gpu = ray_env.expected_threads(1), thread_env.expected_threads(1, "cuda")
    on_four, on_sixteen = needed_threads("cpu", 4), needed_threads("cuda", thread_env.GPU_CAP)
    said = " ".join(README.split())
    assert (
        f"about {round(least, -1)} beside what is in use: {ray} for Ray, {trial} (on a GPU "
        f"{on_gpu}) for a trial on one CPU, {least - ray - trial} to spare. A trial on "
        f"four CPUs makes it {on_four}; on a GPU, with 16 CPUs, {on_sixteen}."
    ) in said


def needed_threads(platform: thread_env.Platform, cap: int) -> int:
    with pytest.raises(thread_env.NoRoomError) as refused:
        thread_env.choose_cap(
            limits=room_for(0),
            cpus=Cpus(allowed=tuple(range(16)), quota_cores=None, online=16),
            platform=platform,
            ray_threads=ray_env.expected_threads(1),
            requested=cap,
        )
    return refused.value.needed_threads


def test_folders_that_no_run_is_linked_to_are_all_named() -> None:
    listed = README.split("folders where scripts write:")[1].split(".")[0]
    assert set(re.findall(r"\w+", listed)) == folder._OUTPUTS
