"""What the tests of preparation share."""

import pytest

from mme2e.perception.decoders import Decoders
from mme2e.preparation import worker

DECODERS = Decoders()


@pytest.fixture(autouse=True)
def _decoders_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparations within this process take turns with one decoder process, as the recordings of one of them do."""
    monkeypatch.setattr(worker, "Decoders", lambda: DECODERS)
