"""Links in Markdown."""

from __future__ import annotations

import re

__all__ = ["local_links"]

_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]*)\)")


def local_links(text: str) -> list[str]:
    """Return where links lead that are not URLs, without what follows `#`."""
    targets = [target.partition("#")[0] for target in _LINK.findall(_CODE.sub("", text))]
    return [each for each in targets if each and "://" not in each and "mailto:" not in each]
