"""What may pass on a NIC, and the drivers that make it so."""
