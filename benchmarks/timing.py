"""Medians and quartiles: the machine does other things too, and a mean counts them all."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Spread", "in_turns", "microseconds"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Spread:
    """The quartiles of some samples."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, samples: Iterable[float]) -> Spread:
        """Take the quartiles of one sample or more."""
        values = list(samples)
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    @classmethod
    def of_differences(cls, samples: Sequence[float], base: Sequence[float]) -> Spread:
        """Take the quartiles of what samples have more than those of the same round."""
        return cls.of(one - other for one, other in zip(samples, base, strict=True))

    @classmethod
    def of_ratios(cls, samples: Sequence[float], base: Sequence[float]) -> Spread:
        """Take the quartiles of samples over those of the same round."""
        return cls.of(one / other for one, other in zip(samples, base, strict=True))


def in_turns(items: Sequence[Item], number: int) -> Sequence[Item]:
    """Return the order of one round: each begins elsewhere, every second one goes backwards."""
    start = number // 2 % len(items)
    order = [*items[start:], *items[:start]]
    return order[::-1] if number % 2 else order


def microseconds(seconds: float, count: int) -> float:
    """Return microseconds for each of `count`."""
    return seconds * 1e6 / count
