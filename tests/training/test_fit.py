"""How a run of Lightning behaves towards the process that it runs in."""

import logging
import warnings

import pytest
from lightning.fabric.utilities.warnings import PossibleUserWarning

from mme2e.training.fit import quiet_lightning


@pytest.mark.parametrize("package", ["pytorch", "fabric"])
def test_information_is_dropped_and_warnings_are_not(package, caplog):
    outer = logging.getLogger(f"lightning.{package}")
    level = outer.level
    logger = logging.getLogger(f"lightning.{package}.utilities.rank_zero")
    logger.addHandler(caplog.handler)
    try:
        with quiet_lightning():
            logger.info("GPU available: False, used: False")
            logger.warning("the disk is on fire")
    finally:
        logger.removeHandler(caplog.handler)
    assert set(caplog.messages) == {"the disk is on fire"}
    assert outer.level == level


def test_advice_on_settings_is_dropped_and_other_warnings_are_not():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quiet_lightning():
            warnings.warn("does not have many workers", PossibleUserWarning, stacklevel=1)
        assert not seen
        with pytest.warns(UserWarning, match="on fire"), quiet_lightning():
            warnings.warn("the disk is on fire", UserWarning, stacklevel=1)
