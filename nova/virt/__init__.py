"""Hypervisors: the port, and its adapters."""
