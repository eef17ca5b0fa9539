"""Fixtures of the functional tests belong here when more than one module needs them."""
