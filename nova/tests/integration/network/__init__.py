"""The effects of nova.network on a real kernel and with a real dnsmasq, in namespaces."""
