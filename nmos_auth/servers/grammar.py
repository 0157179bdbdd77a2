"""What tokens, client ids, secrets and scopes consist of (RFC 6749, RFC 6750)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["B64TOKEN", "SCOPE_TOKEN", "VSCHARS"]

B64TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A token that the `Authorization` header can carry (RFC 6750 Section 2.1)."""

VSCHARS: Final = re.compile(r"[\x20-\x7e]+")
"""A client id or client secret (RFC 6749 Appendix A.1, A.2)."""

SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""One entry of a scope (RFC 6749 Section 3.3)."""
