"""YAML of strangers: values and nothing else."""

from pathlib import Path

import pytest

from cluster.node.plain_yaml import read_yaml


def test_values_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\nb: [x, 2.5]\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": 1, "b": ["x", 2.5]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [1]\nb: [*a, *a]\n", "aliases"),
        ("a: [1\n", "expected"),
        ("!!python/object/apply:os.getpid []\n", "could not determine a constructor"),
        ("[" * 50_000, "."),
        ("a: \x00\n", "."),
    ],
)
def test_all_else_is_a_value_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_yaml(tmp_path / "a.yaml")
