"""Tokens kept fresh."""
