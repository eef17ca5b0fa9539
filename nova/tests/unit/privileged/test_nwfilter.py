from __future__ import annotations

from nova.privileged import nwfilter

_SAVED = """\
*filter
:FORWARD ACCEPT [0:0]
:FI-tap0 - [0:0]
:FI-tap1 - [0:0]
:FI-tap2 - [0:0]
-A FI-tap0 -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A FI-tap2 -j DROP
-A libvirt-in -m physdev --physdev-in tap0 -g FI-tap0
-A libvirt-in -m physdev --physdev-in tap1 -g FI-tap1
COMMIT
"""


def test_a_chain_counts_with_rules_in_it_and_a_jump_to_it() -> None:
    assert nwfilter._parse_devices(_SAVED, 'FI') == {'tap0'}
    assert nwfilter._parse_devices(_SAVED, 'FO') == set()


def test_ebtables_jumps_in_its_own_way() -> None:
    text = '-A PREROUTING -i tap0 -j libvirt-I-tap0\n-A libvirt-I-tap0 -j DROP \n'
    assert nwfilter._parse_devices(text, 'libvirt-I') == {'tap0'}
