"""Tests of the probe: on our own Node, and on one with every fault at a switch."""
