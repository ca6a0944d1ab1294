"""Secrets by their names, and what only looks like one."""

from typing import Any

import pytest

from cluster.node.secret_names import (
    MASK,
    masked,
    with_secret_words,
    without_secret_words,
    without_secrets,
)


@pytest.mark.parametrize(
    ("values", "hidden"),
    [
        ({"api_key": "x", "seed": 3}, ["api_key"]),
        ({"variables": {"HF_TOKEN": "x", "OMP_NUM_THREADS": "2"}}, ["variables.HF_TOKEN"]),
        ({"wandb-api-key": "x", "db.password": 5, "PASSWD": "p"}, None),
        ({"client_secret": "x", "auth": "y", "credentials": "z"}, None),
        ({"max_tokens": 256, "token": 7, "tokenizer": "gpt", "keys": "a"}, []),
        ({"arguments": ["x", "--wandb-api-key", "s", "--lr", "1"]}, ["WANDB_API_KEY"]),
        ({"arguments": ["x", "--pad_token", "0", "HF_TOKEN=s"]}, ["HF_TOKEN"]),
        ({"author": "me", "secretary": "x", "auth": True, "token": None}, []),
    ],
)
def test_what_is_secret_by_its_name_is_masked(
    values: dict[str, Any], hidden: list[str] | None
) -> None:
    shown = without_secrets(values)
    assert masked(shown) == (list(values) if hidden is None else hidden)
    within = {"variables", "arguments"}
    assert {n: v for n, v in shown.items() if v != MASK and n not in within} == {
        n: v for n, v in values.items() if shown[n] != MASK and n not in within
    }


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("train.py --lr 1 --api-key x --n 2", "train.py --lr 1 --api-key *** --n 2"),
        ("x --option api_key=s seed=1", "x --option api_key=*** seed=1"),
        ("x --token=s --max-tokens=5", "x --token=*** --max-tokens=5"),
        ("x --token --json", "x --token --json"),
        ("x --env=HF_TOKEN=s --env A=1 HF_TOKEN=s", "x --env=HF_TOKEN=*** --env A=1 HF_TOKEN=***"),
        ("x --line=a=token=5", "x --line=a=token=5"),
        ("x --url=https://h/?a=1&api_key=s&b=2", "x --url=https://h/?a=1&api_key=***"),
    ],
)
def test_a_command_line_is_shown_without_them(line: str, shown: str) -> None:
    assert without_secret_words(line.split()) == shown.split()


def test_what_is_masked_in_a_command_line_is_put_back_by_its_name() -> None:
    words = [
        "x",
        "--env=HF_TOKEN=s",
        "--n",
        "3",
        "--option",
        "api_key=s",
        "--api-key",
        "s",
        "--db.password=s",
        "a=b",
    ]
    shown = without_secret_words(words)
    secrets = dict.fromkeys(("HF_TOKEN", "api_key", "API_KEY", "DB_PASSWORD"), "s")
    assert with_secret_words(shown, secrets) == words
    with pytest.raises(KeyError, match="API_KEY"):
        with_secret_words(shown, {name: "s" for name in secrets if name != "API_KEY"})
    assert with_secret_words(["***", "x"], {}) == ["***", "x"]
