"""What reaches what on a host that is the gateway of several networks, judged from guests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import secrets

import pytest

from nova.db import records
from nova.network import reach
from nova.network.linux import nat
from nova.privileged import nft
from nova.tests.integration.network.conftest import Guest, Host, run
from nova.tests.unit.network import samples

pytestmark = pytest.mark.root

MakeGuest = Callable[[str, str], Guest]

A, B = samples.network(0), samples.network(2)
NICS = (samples.vif(1, A), samples.vif(2, B), samples.vif(3, A))


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """A netlink socket stays in the namespace in which it was opened."""
    nft.close()
    yield
    nft.close()


def make(host: Host, guest: MakeGuest, nic: records.Vif) -> Guest:
    """A guest with what DHCP would give it."""
    network = A if nic.network_uuid == A.uuid else B
    made = guest(network.bridge, nic.mac)
    made.run('ip', 'address', 'add', f'{nic.addresses[0]}/24', 'dev', 'eth0')
    made.run('ip', 'route', 'add', 'default', 'via', str(network.gateway))
    return made


def reaches(guest: Guest, address: str) -> bool:
    done = guest.run('busybox', 'ping', '-c', '1', '-W', '1', address, check=False)
    return '1 packets received' in done


def apply(host: Host, **options: object) -> nat.Forwarding:
    forwarding = nat.Forwarding()
    forwarding.apply(reach.plan_reach([A, B], reach.Options(**options)))  # type: ignore[arg-type]
    assert host.networks.apply(samples.state(host.options, *NICS, networks=(A, B))) == {}
    return forwarding


def test_networks_of_one_host_do_not_reach_each_other(host: Host, guest: MakeGuest) -> None:
    apply(host)
    one, other, third = (make(host, guest, nic) for nic in NICS)

    assert reaches(one, NICS[2].addresses[0])
    assert reaches(one, '10.0.0.1')
    assert not reaches(one, NICS[1].addresses[0])
    assert not reaches(other, NICS[0].addresses[0])
    assert reaches(third, NICS[0].addresses[0])


def test_it_is_the_rules_that_keep_them_apart(host: Host, guest: MakeGuest) -> None:
    """The same guests reach each other once the table is gone: the test above can fail."""
    forwarding = apply(host)
    one, _other = make(host, guest, NICS[0]), make(host, guest, NICS[1])

    forwarding.apply(reach.Reach())

    assert reaches(one, NICS[1].addresses[0])


def test_a_pair_that_the_operator_allows(host: Host, guest: MakeGuest) -> None:
    apply(host, forward_between=((A.label, B.label),))
    one, other = make(host, guest, NICS[0]), make(host, guest, NICS[1])

    assert reaches(one, NICS[1].addresses[0])
    assert reaches(other, NICS[0].addresses[0])


def test_guests_leave_by_the_egress_interface_under_its_address(
    host: Host, guest: MakeGuest
) -> None:
    """Who is outside has no route to the networks; only A has an egress."""
    world = f'nt-{secrets.token_hex(4)}'
    run('ip', 'netns', 'add', world)
    try:
        peer = ('peer', 'name', 'eth0', 'netns', world)
        run('ip', 'link', 'add', 'uplink', 'type', 'veth', *peer)
        run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'uplink')
        run('ip', 'link', 'set', 'uplink', 'up')
        run('ip', '-n', world, 'address', 'add', '192.0.2.9/24', 'dev', 'eth0')
        run('ip', '-n', world, 'link', 'set', 'eth0', 'up')
        apply(host, egress={A.label: 'uplink'})
        one, other = make(host, guest, NICS[0]), make(host, guest, NICS[1])

        assert reaches(one, '192.0.2.9')
        assert not reaches(other, '192.0.2.9')
    finally:
        run('ip', 'netns', 'del', world)


def test_a_table_of_the_operators_stays(host: Host) -> None:
    run('nft', 'add table inet mine')
    run('nft', 'add chain inet mine c { type filter hook forward priority 0; }')
    before = run('nft', 'list', 'ruleset')

    forwarding = apply(host)
    assert 'table inet nova-nat' in run('nft', 'list', 'ruleset')
    forwarding.apply(reach.Reach())

    assert run('nft', 'list', 'ruleset') == before


def test_doing_it_again_changes_nothing(host: Host) -> None:
    forwarding = apply(host)
    before = run('nft', '-a', 'list', 'ruleset')

    forwarding.apply(reach.plan_reach([A, B], reach.Options()))

    assert run('nft', '-a', 'list', 'ruleset') == before


def test_a_new_start_repairs_the_table(host: Host) -> None:
    apply(host)
    before = run('nft', 'list', 'ruleset')
    run('nft', 'flush', 'chain', 'inet', 'nova-nat', 'forward')

    apply(host)

    assert run('nft', 'list', 'ruleset') == before
