"""The rules: pure decisions."""
