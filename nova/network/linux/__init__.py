"""Small idempotent effects on the host: links, bridges, DHCP servers."""
