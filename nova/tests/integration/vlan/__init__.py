"""VLANs (IEEE 802.1Q) in real traffic. Where this machine's kernel has none, the hosts have kernels
of their own (user-mode-linux)."""
