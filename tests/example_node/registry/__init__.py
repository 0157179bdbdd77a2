"""Tests of the example Registry."""
