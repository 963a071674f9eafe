"""A log that tries again sooner than it does in production."""

import pytest


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.predictions.log.RETRY_S", 0.1)
