"""A cluster that cannot be used: one sentence each."""

import pytest

from cluster.errors import UserError
from tune.driver.hosts import connection
from tune.driver.hosts.connection import connect


def test_files_that_are_not_taken_are_said() -> None:
    said = connection._refusal("10.0.0.1:6379", "Package is\ntoo large.\n", sends=True)
    assert said == "the cluster at 10.0.0.1:6379 does not take the files of this search: too large."


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.77.0.9:1", r"--address: no head answers at 127\.77\.0\.9 port 1 \(.*\)\. Start one"),
        ("127.77.0.9:x", r"--address: no head answers at 127\.77\.0\.9 port x \(.*\)\. Start one"),
        ("ray://10.0.0.1:10001", r"would run the search on the head, without your files .* submit"),
    ],
)
def test_cluster_that_cannot_be_used_is_one_sentence(address: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence), connect(address):
        pass
