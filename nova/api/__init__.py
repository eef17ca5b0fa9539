"""HTTP: validate a request, call nova.compute or nova.network, render the answer."""
