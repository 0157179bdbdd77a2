"""Tests of what is handed on: sdist, wheel, extras."""
