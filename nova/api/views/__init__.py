"""Records to the bodies of answers, one module for each resource."""
