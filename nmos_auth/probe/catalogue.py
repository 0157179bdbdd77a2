"""All that a device is checked for: rows of one request, trials of several, and observations."""

from __future__ import annotations

from nmos_auth.probe.judging import Judged
from nmos_auth.probe.observing import OBSERVATIONS
from nmos_auth.probe.table import ROWS
from nmos_auth.probe.trials import TRIALS

__all__ = ["CATALOGUE"]

CATALOGUE: tuple[Judged, ...] = (*ROWS, *TRIALS, *OBSERVATIONS)
"""Everything, in the order in which it is listed."""
