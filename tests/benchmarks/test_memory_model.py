import sys

import pytest

from benchmarks import memory_model


def test_help_compiles_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory_model, "environments", lambda: pytest.fail("it began to compile"))
    monkeypatch.setattr(sys, "argv", ["memory_model", "--help"])
    with pytest.raises(SystemExit) as ended:
        memory_model.main()
    assert ended.value.code == 0
    assert "predicting large programs" in capsys.readouterr().out
