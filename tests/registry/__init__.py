"""Tests of BCP-003-02 for Registries."""
