import re
import subprocess
import sys

import pytest

from places import ROOT
from tune.summary.outcomes import EXPLANATIONS

README = (ROOT / "README.md").read_text()


def test_the_gymnax_example_in_the_readme_is_the_one_that_is_tested() -> None:
    example = (ROOT / "tests" / "gymnax_cartpole.py").read_text()
    assert example.rstrip() in README
    assert len(example.splitlines()) <= 30


def test_every_outcome_is_explained_in_the_codes_own_words() -> None:
    for kind, advice in EXPLANATIONS.items():
        assert f"| `{kind}` | {advice.short} | {advice.means} | {advice.do} |" in README


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
