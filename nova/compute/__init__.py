"""The life of instances: what the API calls, and the manager on each compute host."""
