"""A profile arrives whole, and a file that is none is refused with what to do."""

import dataclasses
import json
from pathlib import Path

import pytest

from profiles import loaded, written
from tune.profile import file as profile_file
from tune.profile.file import ProfileError


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    profile = profile_file.read(path)
    assert profile_file.to_yaml(profile) == path.read_text()
    assert profile_file.read(profile_file.write(profile, tmp_path / "again")) == profile


def test_the_keys_that_trainers_read_stand_first_and_the_header_says_how_to_use_them(
    tmp_path: Path,
) -> None:
    path = written(tmp_path)
    assert list(loaded(path))[:9] == [
        "schema_version",
        "kind",
        "mode",
        "phase",
        "num_envs",
        "num_steps",
        "num_minibatches",
        "num_epochs",
        "batch_size",
    ]
    assert path.name == "amd-epyc-7543-8cpu-phase1-fastest.yaml"
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert f"python -m tune.profile env {path.name}" in header[1]
    assert f"python -m tune.profile validate {path.name}" in header[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("created_at: 2026-13-45", "is not YAML"),
        ("", "the whole file: must map names to values, got None"),
        ("- 1", "the whole file: must map names to values, got [1]"),
        ("\udcff", "is not YAML"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ProfileError) as raised:
        profile_file.read(path)
    assert message in str(raised.value)


def test_a_missing_file_says_how_to_find_others(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"No such file or directory\. List the profiles"):
        profile_file.read(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("proven", "partial", ["x.yaml", "x-unproven.yaml"]),
        ("proven", "unconfirmed", ["x.yaml", "x-unproven.yaml"]),
        ("proven", "proven", ["x.yaml", "x.yaml"]),
        ("partial", "partial", ["x.yaml", "x.yaml"]),
        ("partial", "proven", ["x.yaml", "x.yaml"]),
        ("corrupt", "partial", ["x.yaml", "x.yaml"]),
    ],
)
def test_an_unproven_profile_never_takes_the_place_of_a_proven_one(
    tmp_path: Path, first: str, second: str, names: list[str]
) -> None:
    proven = profile_file.read(written(tmp_path / "source"))
    variants = {
        "proven": proven,
        "corrupt": proven,
        "partial": dataclasses.replace(proven, partial=True),
        "unconfirmed": dataclasses.replace(proven, confirmed=False),
    }
    paths = [profile_file.write(variants[first], tmp_path)]
    if first == "corrupt":
        paths[0].write_text("half a pro")
    paths.append(profile_file.write(variants[second], tmp_path))
    stem = "amd-epyc-7543-8cpu-phase1-fastest"
    assert [path.name.replace(stem, "x") for path in paths] == names
    assert profile_file.read(paths[-1]) == variants[second]


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ProfileError, match="Nothing is lost: repeat the command with --resume"):
        written(blocked)


def test_the_profile_is_json_too(tmp_path: Path) -> None:
    """What YAML holds are plain values: other programs may read it as they like."""
    assert json.loads(json.dumps(loaded(written(tmp_path)))) == loaded(written(tmp_path))
