"""What reaches what on a host that is the gateway of several networks, judged from guests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab import links
from nova.db import records
from nova.network import model, reach
from nova.network.linux import nat
from nova.privileged import nft
from nova.tests.integration.network.conftest import Guest, Host, Machine, run
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


def reaches(guest: Machine, address: str) -> bool:
    done = guest.run('busybox', 'ping', '-c', '1', '-W', '3', address, check=False)
    return '1 packets received' in done


def apply(host: Host, **options: object) -> nat.Forwarding:
    forwarding = nat.Forwarding(str(host.run_path))
    floating = options.pop('floating', ())
    wanted = reach.plan_reach([A, B], reach.Options(**options), floating)  # type: ignore[arg-type]
    forwarding.apply(wanted)
    assert host.networks.apply(samples.state(host.options, *NICS, networks=(A, B))) == {}
    return forwarding


def test_what_a_host_says_to_its_own_guests_stays_there(host: Host, guest: MakeGuest) -> None:
    """Nor is whoever is behind the wire heard, but for what guests say to each other."""
    forwarding = apply(host)
    far = guest(A.bridge, NICS[2].mac)  # known to the DHCP server
    near = make(host, guest, NICS[0])
    wanted = reach.plan_reach([A, B], reach.Options(), edges=[far.port])

    forwarding.apply(wanted)

    assert far.lease(tries=2) is None
    far.run('ip', 'address', 'add', f'{NICS[2].addresses[0]}/24', 'dev', 'eth0')
    far.run('ip', 'route', 'add', model.METADATA_ADDRESS, 'dev', 'eth0')
    assert reaches(far, str(A.gateway))
    assert reaches(far, NICS[0].addresses[0])
    assert not reaches(far, model.METADATA_ADDRESS)
    near.run('ip', 'route', 'add', model.METADATA_ADDRESS, 'dev', 'eth0')
    assert reaches(near, model.METADATA_ADDRESS)

    forwarding.apply(reach.plan_reach([A, B], reach.Options()))
    # or else the guest still waits for the answer to what was not heard
    far.run('ip', 'neighbour', 'flush', 'dev', 'eth0')
    assert reaches(far, model.METADATA_ADDRESS)
    assert far.lease() is not None
    assert 'nova-edge' not in run('nft', 'list', 'tables')


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
    host: Host, guest: MakeGuest, world: Machine
) -> None:
    """Who is outside has no route to the networks; only A has an egress."""
    apply(host, egress={A.label: 'uplink'})
    one, other = make(host, guest, NICS[0]), make(host, guest, NICS[1])

    assert reaches(one, '192.0.2.9')
    assert not reaches(other, '192.0.2.9')


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


# --- floating IPs


@pytest.fixture
def world(host: Host) -> Iterator[Machine]:
    """Somebody outside, 192.0.2.9, beyond the host's interface ``uplink``."""
    made = Machine()
    peer = ('peer', 'name', 'eth0', 'netns', made.name)
    run('ip', 'link', 'add', 'uplink', 'type', 'veth', *peer)
    run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'uplink')
    run('ip', 'link', 'set', 'uplink', 'up')
    made.run('ip', 'address', 'add', '192.0.2.9/24', 'dev', 'eth0')
    made.run('ip', 'link', 'set', 'eth0', 'up')
    links.wait_up('eth0', made.run)
    links.wait_up('uplink', run)
    yield made
    made.remove()


def floating(number: int, nic: records.Vif | None) -> records.FloatingIp:
    return records.FloatingIp(
        id=number,
        address=f'192.0.2.{100 + number}',
        pool='nova',
        project_id='project',
        fixed_ip=nic.addresses[0] if nic else None,
        instance_uuid=nic.instance_uuid if nic else None,
        network_uuid=nic.network_uuid if nic else None,
        host=samples.HOST if nic else None,
    )


def with_floating(*leads: records.FloatingIp) -> reach.Reach:
    return reach.plan_reach([A, B], reach.Options(floating_interface='uplink'), leads)


def test_a_floating_ip_leads_to_its_guest_and_the_guest_leaves_under_it(
    host: Host, guest: MakeGuest, world: Machine
) -> None:
    forwarding = apply(host)
    one = make(host, guest, NICS[0])
    assert not reaches(world, '192.0.2.101')

    forwarding.apply(with_floating(floating(1, NICS[0])))

    assert reaches(world, '192.0.2.101')
    assert reaches(one, '192.0.2.9')
    assert reaches(make(host, guest, NICS[1]), '192.0.2.101')
    assert reaches(make(host, guest, NICS[2]), '192.0.2.101')


def test_nothing_of_a_floating_ip_is_left(host: Host, guest: MakeGuest, world: Machine) -> None:
    forwarding = apply(host)
    make(host, guest, NICS[0])
    before = host.addresses('uplink')
    forwarding.apply(with_floating(floating(1, NICS[0]), floating(2, NICS[1])))
    assert host.addresses('uplink') == before | {'192.0.2.101/32', '192.0.2.102/32'}
    assert reaches(world, '192.0.2.101')

    # another service, after a restart
    nat.Forwarding(str(host.run_path)).apply(with_floating(floating(2, NICS[1])))

    assert host.addresses('uplink') == before | {'192.0.2.102/32'}
    assert '192.0.2.101' not in run('nft', 'list', 'ruleset')
    assert '192.0.2.101' not in run('conntrack', '-L')
    assert not reaches(world, '192.0.2.101')


def test_it_goes_over_to_another_guest(host: Host, guest: MakeGuest, world: Machine) -> None:
    """The neighbour's cache is told, and no connection still leads to the old guest."""
    forwarding = apply(host)
    one, other = make(host, guest, NICS[0]), make(host, guest, NICS[1])
    forwarding.apply(with_floating(floating(1, NICS[0])))
    assert reaches(world, '192.0.2.101')

    forwarding.apply(with_floating(floating(1, NICS[1])))
    one.run('ip', 'link', 'set', 'eth0', 'down')

    assert reaches(world, '192.0.2.101')
    other.run('ip', 'link', 'set', 'eth0', 'down')
    assert not reaches(world, '192.0.2.101')
