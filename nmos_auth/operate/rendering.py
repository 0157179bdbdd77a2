"""Writes an explanation for a terminal and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from nmos_auth.audit.reasons import EXPLANATIONS
from nmos_auth.command import hanging
from nmos_auth.errors import Reason
from nmos_auth.operate.explain import Explanation, Outcome
from nmos_auth.operate.in_process import Request

__all__ = ["explanation_json", "explanation_lines"]

_MARKS = {True: "ok", False: "NO", None: "-"}


def explanation_lines(request: Request, explanation: Explanation, width: int) -> str:
    """Return a line for each step, the answer, and what to change.

    Args:
        request: the request.
        explanation: its explanation.
        width: the columns of the terminal.
    """
    lines = [f"{request.method.upper()} {request.url}"]
    longest = max((len(step.name) for step in explanation.steps), default=0)
    lines += [
        hanging(f"  {_MARKS[step.good]:<3}{step.name:<{longest}}  ", step.text, width)
        for step in explanation.steps
    ]
    answer = explanation.answer
    challenge = answer.headers.get("www-authenticate", "")
    code = challenge.partition("error=")[2].partition(",")[0]
    lines.append(f"{explanation.outcome.value}: {answer.status} {code}".rstrip())
    if explanation.outcome is not Outcome.PERMITTED:
        detail = answer.record.get("detail")
        reason = f"{explanation.reason}{f': {detail}' if detail else ''}"
        lines.append(hanging("reason: ", reason, width))
        if cure := _cure(explanation):
            lines.append(hanging("→ ", cure, width))
    return "\n".join(lines)


def _cure(explanation: Explanation) -> str:
    reason = explanation.reason
    return EXPLANATIONS[Reason(reason)].cure if reason in set(Reason) else ""


def explanation_json(explanation: Explanation) -> str:
    """Return the same as one JSON object."""
    return json.dumps(
        {
            "outcome": explanation.outcome.value,
            "status": explanation.answer.status,
            "reason": explanation.reason,
            "detail": explanation.answer.record.get("detail"),
            "cure": _cure(explanation) or None,
            "steps": [asdict(step) for step in explanation.steps],
        },
        indent=2,
    )
