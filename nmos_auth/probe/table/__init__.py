"""The rows: what is tried on a device, and the sentence that it is checked against.

To add one, write it in the module of its subject, with an id that no row ever had.
"""

from nmos_auth.probe.table.all_rows import ROWS

__all__ = ["ROWS"]
