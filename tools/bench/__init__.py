"""Benches: what changes cost, against floors that are measured in the same run."""
