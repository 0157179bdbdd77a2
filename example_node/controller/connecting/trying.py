"""Changes that always end in a result: errors become words, and no change is sent again blindly."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from example_node.controller.connecting import outcome, plan
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.connecting.outcome import Outcome, Result, Sign
from example_node.controller.plant import Control
from example_node.controller.reach import NoAnswerError, OutOfReachError

logger = logging.getLogger(__name__)

_LOOK_AFTER = (0.0, 2.0)

T = TypeVar("T")


async def result_of(run: Awaitable[T]) -> T | Result:
    """Return what a change comes to, or why it was not made.

    `Endpoints.change` raises only where nothing was sent, so what is raised here is raised before
    the change.
    """
    try:
        return await run
    except OutOfReachError as error:
        return Result(Outcome.FAILED, str(error))
    except NoAnswerError as error:
        return Result(Outcome.FAILED, f"Nothing was changed. No answer came: {error}")
    except Exception:  # a change that nobody hears of again would lock its row for ever
        logger.exception("a change failed")
        text = f"The Controller failed, and its log says more. {outcome.LOOK}"
        return Result(Outcome.UNKNOWN, text)


async def patch(
    endpoints: Endpoints,
    control: Control,
    receiver_id: str,
    body: plan.Body,
    aim: str,
    sign: Sign,
    on_wait: Callable[[float], None] = lambda _: None,
) -> Result:
    """Change a Receiver by one PATCH.

    Args:
        endpoints: the APIs of Devices.
        control: where the Receiver is controlled.
        receiver_id: the Receiver.
        body: what to change.
        aim: what is asked for, as the beginning of a sentence.
        sign: tells whether the Receiver shows it, if the answer is lost.
        on_wait: called with the seconds to wait, where the Node asks for that.

    Raises:
        OutOfReachError: nothing was sent.
    """
    path = f"single/receivers/{receiver_id}/staged"
    reply, took = await endpoints.change(control, "PATCH", path, body, on_wait)
    if reply is None:
        return await look(endpoints, control, receiver_id, aim, sign)
    return outcome.of_reply(reply, aim, took)


async def look(
    endpoints: Endpoints, control: Control, receiver_id: str, aim: str, sign: Sign
) -> Result:
    """Look for a change whose answer is lost; what the Node does not show yet is unknown."""
    result = outcome.of_reply(None, aim, None)
    for pause in _LOOK_AFTER:
        await asyncio.sleep(pause)
        try:
            active, staged = await asyncio.gather(
                endpoints.state(control, receiver_id, "active"),
                endpoints.state(control, receiver_id, "staged"),
            )
        except (OutOfReachError, NoAnswerError):
            continue
        shown = sign(active, staged)
        if shown is not None:
            return Result(shown, f"{aim}; no answer came, but the Node shows it")
        if active is not None:
            text = f"No answer came, and the Node does not show this yet: {aim}. {outcome.LOOK}"
            result = replace(result, text=text)
    return result
