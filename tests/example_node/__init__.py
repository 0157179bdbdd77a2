"""Tests of the reference Node."""
