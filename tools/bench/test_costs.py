"""The ratios that doc/source/architecture.rst promises.

Only ratios are asserted, each between alternatives that run in turn in this process, in processor
time, the best of several rounds: other work on the machine slows both sides.
"""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

import pytest

from bench.figures import Figures
from nova import primitive
from nova.network import model
from nova.virt.libvirt import domain

ROUNDS = 9


def cost(function: Callable[[], Any], calls: int) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    for _ in range(calls):
        function()
    return (time.process_time() - start) / calls


def costs(*functions: Callable[[], Any], calls: int = 200) -> list[float]:
    """The best of :data:`ROUNDS` for each, in turn."""
    rounds = [[cost(function, calls) for function in functions] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]


def build_vif(index: int) -> model.VIF:
    """NICs that share nothing."""
    return model.VIF(
        id=f'0000000{index:x}-0000-4000-8000-00000000000{index:x}',
        index=index,
        mac=f'02:00:00:00:00:{index:02x}',
        addresses=(f'10.{index}.0.{index + 10}',),
        network=model.Network(
            id=f'1000000{index:x}-0000-4000-8000-00000000000{index:x}',
            label=f'net{index}',
            kind=model.NetworkKind.FLAT_DHCP,
            bridge=f'br{index}',
            subnets=(
                model.Subnet(
                    cidr=f'10.{index}.0.0/24',
                    gateway=f'10.{index}.0.1',
                    dhcp_server=f'10.{index}.0.2',
                ),
            ),
        ),
    )


def build_nic(index: int) -> domain.Nic:
    vif = build_vif(index)
    return domain.Nic(
        vif_id=vif.id,
        name=domain.nic_name('instance-00000001', vif),
        bridge_name=vif.network.bridge,
        mac_address=vif.mac,
        device=vif.device,
        slot=f'{model.FIRST_NIC_SLOT + index:#04x}',
        mtu=1500,
        ip_address=vif.addresses[0],
        further_addresses=(),
        dhcp_server=f'10.{index}.0.2',
        extra_params=(
            domain.Parameter(name='PROJNET', value=f'10.{index}.0.0'),
            domain.Parameter(name='PROJMASK', value='255.255.255.0'),
        ),
        ra_server=None,
    )


def build_domain(nics: int) -> domain.Domain:
    return domain.Domain(
        type='kvm',
        uuid='20000000-0000-4000-8000-000000000001',
        name='instance-00000001',
        display_name='vm',
        project_id='project',
        user_id='user',
        flavor_name='small',
        image_id='image',
        memory_kb=65536,
        vcpus=1,
        machine_type='pc',
        cpu_mode='host-model',
        disk=domain.Disk(path='/var/lib/nova/instances/1/disk'),
        nics=tuple(build_nic(i) for i in range(nics)),
        config_drive=None,
        console_log='/var/lib/nova/instances/1/console.log',
    )


def render_floor(context: domain.Domain) -> str:
    """The same values in f-strings, without escaping and without the fixed parts: the least that
    any way of rendering them costs."""
    nics = ''.join(
        f"<interface type='bridge'><mac address='{nic.mac_address}'/>"
        f"<source bridge='{nic.bridge_name}'/><target dev='{nic.device}'/><mtu size='{nic.mtu}'/>"
        f'<filterref filter="nova-instance-{nic.name}">'
        f'<parameter name="IP" value="{nic.ip_address}"/>'
        f'<parameter name="DHCPSERVER" value="{nic.dhcp_server}"/>'
        + ''.join(f'<parameter name="{p.name}" value="{p.value}"/>' for p in nic.extra_params)
        + f"</filterref><alias name='ua-{nic.vif_id}'/><address type='pci' slot='{nic.slot}'/>"
        '</interface>'
        for nic in context.nics
    )
    return (
        f"<domain type='{context.type}'><uuid>{context.uuid}</uuid><name>{context.name}</name>"
        f'<name>{context.display_name}</name><memory>{context.memory_kb}</memory>'
        f"<vcpu>{context.vcpus}</vcpu><source file='{context.disk.path}'/>{nics}</domain>"
    )


#: The floor here has fewer values than the template and escapes none; 11 times was measured.
XML_OVER_FLOOR = 15
#: Times as long for four times as many NICs, and for eight times as many: linear, and noise.
FOUR_TIMES, EIGHT_TIMES = 4.5, 10


@pytest.mark.parametrize('nics', [1, 4, 16])
def test_domain_xml(figures: Figures, nics: int) -> None:
    context = build_domain(nics)
    domain.render_domain(context)  # compiles the template
    ours, floor = costs(lambda: domain.render_domain(context), lambda: render_floor(context))
    figures.compare(f'domain XML, {nics} NIC(s), over f-strings', ours, floor, XML_OVER_FLOOR)


def test_domain_xml_is_linear_in_nics(figures: Figures) -> None:
    few, many = build_domain(4), build_domain(16)
    domain.render_domain(few)
    four, sixteen = costs(lambda: domain.render_domain(few), lambda: domain.render_domain(many))
    figures.compare('domain XML, 16 NICs over 4', sixteen, four, FOUR_TIMES)


def test_a_network_info_crosses_rpc_in_linear_time(figures: Figures) -> None:
    def there_and_back(info: model.NetworkInfo) -> Any:
        return primitive.from_primitive(primitive.to_primitive(info))

    one = model.NetworkInfo((build_vif(0),))
    eight = model.NetworkInfo(tuple(build_vif(i) for i in range(8)))
    assert there_and_back(eight) == eight
    short, long = costs(lambda: there_and_back(one), lambda: there_and_back(eight), calls=50)
    figures.compare('NetworkInfo through RPC, 8 NICs over 1', long, short, EIGHT_TIMES)
