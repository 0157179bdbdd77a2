"""Holds any maker's Node or Registry to the texts: requests, answers, and the sentence for each.

It requires the extra `probe`.
"""

__all__ = ["cases", "cli", "mint", "rows", "table", "wire"]
