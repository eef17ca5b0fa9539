"""JSON schemas of bodies and queries, one module for each noun (see :mod:`nova.api.validation`)."""
