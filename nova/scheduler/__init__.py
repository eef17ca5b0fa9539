"""The choice of a host for each new instance."""
