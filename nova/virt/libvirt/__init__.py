"""The adapter for KVM and QEMU through libvirt."""
