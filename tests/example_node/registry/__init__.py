"""Tests of the reference Registry."""
