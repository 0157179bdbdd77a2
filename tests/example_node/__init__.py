"""Tests of the example Node."""
