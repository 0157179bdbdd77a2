"""What the package costs, as ratios from one run of `scripts/benchmark`."""
