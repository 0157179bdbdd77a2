"""Tests of several requests: memory, dialogues, resources, servers, keys, outages, withdrawal."""

from nmos_auth.probe.trials.events import EVENTS
from nmos_auth.probe.trials.issuers import ISSUERS
from nmos_auth.probe.trials.keys import KEYS, WITHDRAWAL
from nmos_auth.probe.trials.outages import OUTAGES
from nmos_auth.probe.trials.resources import RESOURCES
from nmos_auth.probe.trials.times import TIMES
from nmos_auth.probe.trials.trial import Trial

__all__ = ["TRIALS", "Trial"]

TRIALS: tuple[Trial, ...] = (*TIMES, *EVENTS, *RESOURCES, *ISSUERS, *KEYS, *OUTAGES, *WITHDRAWAL)
"""All trials, in the order in which they are tried."""
