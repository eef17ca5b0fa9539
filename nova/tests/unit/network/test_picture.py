from __future__ import annotations

from collections.abc import Callable
import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from nova.network import model, picture

SVG = '{http://www.w3.org/2000/svg}'


def network(number: int, label: str | None = None, vlan: int | None = None) -> model.Network:
    return model.Network(
        id=f'id-{number}',
        label=label or f'net-{number}',
        kind=model.NetworkKind.VLAN if vlan else model.NetworkKind.FLAT_DHCP,
        bridge=f'br{number}',
        subnets=(model.Subnet(cidr=f'10.{number}.0.0/24', gateway=f'10.{number}.0.1'),),
        vlan=vlan,
        physical_network='physnet1' if vlan else None,
        host='host-a',
    )


def server(
    name: str, host: str | None, *networks: model.Network, last_octet: int = 5
) -> picture.Server:
    vifs = tuple(
        model.VIF(
            id=f'{name}-{index}',
            index=index,
            mac=f'fa:16:3e:00:{last_octet:02x}:{index:02x}',
            network=on,
            addresses=(f'10.{on.id[3:]}.0.{last_octet + index}',),
            default_route=index == 0,
        )
        for index, on in enumerate(networks)
    )
    return picture.Server(name=name, host=host, network_info=model.NetworkInfo(vifs))


NETWORKS = (network(0), network(1, vlan=101), network(2))
PICTURE = picture.build_picture(
    NETWORKS,
    [
        server('web', 'host-b', NETWORKS[1], NETWORKS[0]),
        server('twice', 'host-a', NETWORKS[2], NETWORKS[2], last_octet=9),
        server('alone', 'host-a'),
        server('waiting', None),
    ],
)


def test_the_three_forms(golden: Callable[[str, str], None]) -> None:
    golden('network/topology.txt', picture.render_text(PICTURE))
    golden('network/topology.dot', picture.render_dot(PICTURE))
    golden('network/topology.svg', picture.render_svg(PICTURE))


def test_hosts_that_only_serve_a_network_are_shown_and_no_host_comes_last() -> None:
    assert list(PICTURE.hosts) == ['host-a', 'host-b', picture.NOWHERE]
    only = picture.build_picture(NETWORKS, [])
    assert only.hosts == {'host-a': ()}
    assert 'no instances' in picture.render_text(only)


def test_an_empty_cloud_can_be_drawn() -> None:
    empty = picture.build_picture([], [])
    assert etree.fromstring(picture.render_svg(empty).encode()) is not None
    assert picture.render_text(empty) == 'Networks\n'


@given(
    label=st.text(st.characters(codec='utf-8', exclude_categories=['Cc', 'Cs', 'Cn']), min_size=1),
    name=st.text(st.characters(codec='utf-8', exclude_categories=['Cc', 'Cs', 'Cn']), min_size=1),
)
def test_any_name_is_only_text(label: str, name: str) -> None:
    on = network(0, label=label)
    drawn = picture.build_picture([on], [server(name, 'h', on)])
    root = etree.fromstring(picture.render_svg(drawn).encode())
    texts = [element.text for element in root.iter(f'{SVG}text')]
    assert label in texts
    assert name in texts
    assert len(list(root.iter(f'{SVG}circle'))) == 1
    assert picture.render_dot(drawn).count(' -- ') >= 1


def test_at_fifty_instances_no_two_texts_overlap() -> None:
    networks = [network(number) for number in range(6)]
    servers = [
        server(f'server-{i:02d}', f'host-{i % 4}', networks[i % 6], networks[(i + 1) % 6])
        for i in range(50)
    ]
    root = etree.fromstring(picture.render_svg(picture.build_picture(networks, servers)).encode())
    boxes = [
        (float(e.attrib['x']), float(e.attrib['y']), len(e.text or '') * 7.0)
        for e in root.iter(f'{SVG}text')
    ]
    for i, (x, y, width) in enumerate(boxes):
        for other_x, other_y, _ in boxes[i + 1 :]:
            on_one_line = abs(y - other_y) < 12
            assert not on_one_line or other_x >= x + width or other_x < x, (x, y)
    assert max(x + width for x, _, width in boxes) <= float(root.attrib['width'])


def test_the_default_route_is_marked() -> None:
    vif = server('x', None, NETWORKS[0]).network_info[0]
    assert picture.describe_nic(vif) == '#0* 10.0.0.5'
    assert picture.describe_nic(dataclasses.replace(vif, default_route=False)) == '#0 10.0.0.5'
