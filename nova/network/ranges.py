"""Ranges of addresses, and addresses in them: what is written correctly, what can be used, what is
in whose way. Pure."""

from __future__ import annotations

from collections.abc import Sequence
import re
from typing import Any

import netaddr

from nova import exception

#: Ranges from /16 (65,536 rows) to /30 (one guest beside a gateway).
PREFIX_MIN, PREFIX_MAX = 16, 30
PREFIX_V6 = 64

_CIDR = re.compile(r'[0-9.]{7,15}/[0-9]{1,2}')
_CIDR_V6 = re.compile(r'[0-9A-Fa-f:]{2,39}/64')
#: Ranges whose addresses mean something else to every host (RFC 6890).
_UNUSABLE = tuple(
    netaddr.IPNetwork(cidr)
    for cidr in ('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4')
)
#: What networks may have of IPv6: global unicast and unique local addresses (RFC 4291, RFC 4193).
_USABLE_V6 = tuple(netaddr.IPNetwork(cidr) for cidr in ('2000::/3', 'fc00::/7'))


def parse_cidr(text: str) -> Any:
    """The IPv4 range ``text`` (``10.0.0.0/24``) as a ``netaddr.IPNetwork``.

    :raises InvalidCidr:
    """
    wanted = 'an IPv4 range such as 10.0.0.0/24'
    network = _parse(text, 'cidr', _CIDR, 4, wanted)
    if not PREFIX_MIN <= network.prefixlen <= PREFIX_MAX:
        raise _refusal(text, 'cidr', f'its size must be from /{PREFIX_MIN} to /{PREFIX_MAX}')
    for unusable in _UNUSABLE:
        if network in unusable:
            raise _refusal(text, 'cidr', f'addresses of {unusable} cannot be given to hosts')
    return network


def parse_cidr_v6(text: str) -> Any:
    """The IPv6 range ``text`` (``fd00:1::/64``) as a ``netaddr.IPNetwork``.

    :raises InvalidCidr:
    """
    wanted = 'an IPv6 range of /64 such as fd00:1::/64'
    network = _parse(text, 'cidr_v6', _CIDR_V6, 6, wanted)
    if not any(network in usable for usable in _USABLE_V6):
        raise _refusal(text, 'cidr_v6', 'it holds no global and no unique local addresses')
    return network


def _parse(text: str, field: str, form: re.Pattern[str], version: int, wanted: str) -> Any:
    if form.fullmatch(text) is None:
        raise _refusal(text, field, f'it is not {wanted}')
    try:
        network = netaddr.IPNetwork(text, version=version)
    except (netaddr.AddrFormatError, ValueError) as exc:
        raise _refusal(text, field, f'it is not {wanted}') from exc
    if network.ip != network.network:
        raise _refusal(text, field, f'it begins at {network.cidr}')
    return network


def _refusal(text: str, field: str, reason: str) -> exception.InvalidCidr:
    return exception.InvalidCidr(field=field, value=text, reason=reason)


def parse_host(text: str | None, cidr: Any, field: str) -> str | None:
    """``text`` in canonical form, if it is an address that a host of ``cidr`` may have."""
    if text is None:
        return None
    address = parse_address(text, field, 4)
    if address not in cidr or address in (cidr.network, cidr.broadcast):
        reason = f'it is not the address of a host in {cidr}'
        raise exception.InvalidCidr(field=field, value=text, reason=reason)
    return str(address)


def parse_part(text: str, cidr: Any, field: str) -> Any:
    """The range ``text``, if it lies in ``cidr``.

    :raises InvalidCidr:
    """
    wanted = f'a part of {cidr}'
    part = _parse(text, field, _CIDR, 4, wanted)
    if part not in cidr:
        raise _refusal(text, field, f'it is not {wanted}')
    return part


def parse_size(addresses: int | None) -> int | None:
    """The length of the prefix of a range of at least so many IPv4 addresses.

    :raises InvalidInput: no range is so large.
    """
    if addresses is None:
        return None
    if not 1 <= addresses <= 2**32:
        reason = f'{addresses} is not from 1 to {2**32}'
        raise exception.InvalidInput(field='network_size', reason=reason)
    return 32 - (addresses - 1).bit_length()


def parse_range(text: str, field: str) -> Any:
    """A range of any size and either family.

    :raises InvalidCidr:
    """
    try:
        return netaddr.IPNetwork(text)
    except (netaddr.AddrFormatError, ValueError) as exc:
        raise exception.InvalidCidr(field=field, value=text, reason='it is no range') from exc


def is_within(text: str | None, allowed: Sequence[Any]) -> bool:
    """Whether a range lies in one of others; no range does."""
    if text is None:
        return True
    part = parse_range(text, 'cidr')
    return any(part in whole for whole in allowed)


def parse_address(text: str, field: str, version: int | None = None) -> Any:
    """:param version: 4 or 6; None takes both."""
    if text.isascii():
        if version != 6 and netaddr.valid_ipv4(text, flags=netaddr.INET_PTON):
            return netaddr.IPAddress(text, 4)
        if version != 4 and '%' not in text and netaddr.valid_ipv6(text):
            return netaddr.IPAddress(text, 6)
    family = 'IP' if version is None else f'IPv{version}'
    raise exception.InvalidCidr(field=field, value=text, reason=f'it is not an {family} address')


def number(address: str) -> int:
    """By which addresses are compared."""
    return int(netaddr.IPAddress(address))


def is_overlapping(one: str | None, other: str | None) -> bool:
    """Whether two ranges have addresses in common; None has none."""
    if one is None or other is None:
        return False
    range1, range2 = netaddr.IPNetwork(one), netaddr.IPNetwork(other)
    return range1 in range2 or range2 in range1


def carve_v4(
    text: str | None, count: int, prefix_length: int | None, taken: Sequence[str]
) -> Sequence[str | None]:
    """``count`` ranges out of an IPv4 range that overlap none of ``taken``, or Nones out of None.

    :param prefix_length: of each; None divides the range evenly.
    :raises InvalidInput: there is not so much room.
    """
    if text is None:
        return [None] * count
    try:
        whole = netaddr.IPNetwork(text, version=4)
    except (netaddr.AddrFormatError, ValueError) as exc:
        reason = 'it is not an IPv4 range'
        raise exception.InvalidCidr(field='cidr', value=text, reason=reason) from exc
    length = prefix_length or whole.prefixlen + (count - 1).bit_length()
    if not max(whole.prefixlen, PREFIX_MIN) <= length <= PREFIX_MAX:
        reason = f'networks of /{length} cannot be carved out of {whole}'
        raise exception.InvalidInput(field='network_size', reason=reason)
    return _first_free(whole, length, count, taken, 'cidr')


def carve_v6(text: str | None, count: int, taken: Sequence[str]) -> Sequence[str | None]:
    """Like :func:`carve_v4`, each a /64.

    :raises InvalidInput:
    """
    if text is None:
        return [None] * count
    try:
        whole = netaddr.IPNetwork(text, version=6)
    except (netaddr.AddrFormatError, ValueError) as exc:
        reason = 'it is not an IPv6 range'
        raise exception.InvalidCidr(field='cidr_v6', value=text, reason=reason) from exc
    return _first_free(whole, PREFIX_V6, count, taken, 'cidr_v6')


def _first_free(
    whole: Any, length: int, count: int, taken: Sequence[str], field: str
) -> list[str | None]:
    found: list[str | None] = []
    ranges = [netaddr.IPNetwork(text) for text in taken]
    for part in whole.subnet(length):
        if not any(part in other or other in part for other in ranges):
            found.append(str(part))
        if len(found) == count:
            return found
    reason = f'only {len(found)} networks of /{length} are free in it'
    raise exception.InvalidCidr(field=field, value=str(whole), reason=reason)
