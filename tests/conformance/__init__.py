"""AMWA's testing tool, run against the example Node. `docs/conformance.md` tells how."""
