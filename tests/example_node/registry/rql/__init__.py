"""Tests of queries in the Resource Query Language."""
