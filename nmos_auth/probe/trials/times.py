"""What a device remembers of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.rows import Suite, is_10
from nmos_auth.probe.trials.trial import Outcome, Trial, ask

if TYPE_CHECKING:
    from nmos_auth.probe.device import Api
    from nmos_auth.probe.running import Probe

__all__ = ["TIMES"]


async def _expired_in_memory(probe: Probe, api: Api) -> Outcome:
    expiry = int(probe.clock()) + 3
    token = probe.mint(api.places).token(exp=expiry)
    first = await ask(probe, api, token)
    if first.status != 200:
        return Verdict.UNTESTED, f"{first.status} before it expired"
    # One second more, because the token may be valid until the end of that second.
    await probe.sleep(max(0.0, expiry - probe.clock()) + 1)
    second = await ask(probe, api, token)
    verdict = Verdict.PASS if second.status == 401 else Verdict.FAIL
    return verdict, f"{first.status} before it expired, {second.status} after"


TIMES = (
    Trial(
        "times-remembered",
        Suite.TIMES,
        "a token that was accepted, after it expired",
        is_10("Behaviour: Access Tokens, exp", "a token is rejected once `exp` is less than now"),
        "A token that was used once never expires.",
        _expired_in_memory,
    ),
)
