"""Checks a Node or Registry of any maker against the specifications: requests and their answers.

It requires the extra `probe`.
"""

__all__ = ["cases", "catalogue", "cli", "mint", "rows", "table", "wire"]
