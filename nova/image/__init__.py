"""Images: the client of Glance, and the inspection of what it delivers."""
