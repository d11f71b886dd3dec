"""When two programs compute the same: probes, fingerprints, and the core of a genome."""
