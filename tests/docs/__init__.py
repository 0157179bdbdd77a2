"""Tests of the documentation: its examples run, its commands parse, its tables are whole."""
