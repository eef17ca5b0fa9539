"""Networks of plain Linux bridges: allocation, bridges, VLANs, DHCP, routing, firewall."""
