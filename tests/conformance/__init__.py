"""AMWA's testing tool, run against the reference Node. `docs/conformance.md` tells how."""
