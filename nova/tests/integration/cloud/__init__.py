"""A whole cloud on a sandbox host: the real clients, Keystone, Glance, libvirt, QEMU and dnsmasq.
What is judged is what the guests themselves report."""
