"""The laboratory: sandbox hosts and what runs in them.

Shared by ``tools/quickstart`` and the integration tests.  Standard library only, so that it
runs with the system's Python before anything is installed.

    checkout       where things are in this source tree
    sandbox        a host made of namespaces, that leaves nothing behind
    sandbox_init   the first process of such a host
    libvirtd       libvirtd and virtlogd in a sandbox
    identity       Keystone in a sandbox
    images         Glance in a sandbox
    broker         RabbitMQ in a sandbox
    database       PostgreSQL in a sandbox
    compute        the services of this project in a sandbox
    clients        the real command line clients, against a sandbox
    guest_image    a bootable disk image that reports what it sees on its network cards
    guest_report   reading such a report
    guest_console  typing commands at a guest's serial console
    inventory      everything a host has, as text, and the difference of two such lists
"""
