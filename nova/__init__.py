"""A compute service whose instances have several network interfaces."""
