"""From one state of the nftables driver's tables to another, and from the kernel's listing; pure.

Formats: nft(8), libnftables-json(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nova.network.firewall import nftables_base
from nova.network.firewall.nftables_base import SETS, TABLE, Tables
from nova.network.firewall.nftables_plan import Element, State

#: Sets whose keys begin with the name of a device.
_BY_DEVICE = {*nftables_base.SETS, *nftables_base.INET_SETS} - {'egress_groups', 'ingress_groups'}


def render_everything(state: State, tables: Tables = nftables_base.EVERYTHING) -> tuple[str, ...]:
    """A batch that makes both tables anew with this in them, whatever there is."""
    lines = []
    for family in ('bridge', 'inet'):
        lines += [f'add table {family} {TABLE}', f'delete table {family} {TABLE}']
        lines.append(f'add table {family} {TABLE}')
        lines.append(f'add chain {family} {TABLE} {tables.version_chain}')
    return (*lines, *tables.static, *render_change(State(), state))


def render_change(old: State, new: State) -> tuple[str, ...]:
    """A batch that makes ``new`` of ``old``; empty when they are equal. It is atomic, and what
    did not change is not touched."""
    lines = []
    fresh = [name for name in new.chains if name not in old.chains and not _is_fixed(name)]
    lines += [f'add chain bridge {TABLE} {name}' for name in fresh]
    for name in sorted(new.sets.keys() - old.sets.keys()):
        lines.append(f'add set bridge {TABLE} {name} {{ {new.sets[name]}; }}')
    lines += _render_elements('delete', old.elements, new.elements)
    lines += _render_elements('add', new.elements, old.elements)
    lines += _render_forgotten_drops(_devices(old) - _devices(new))
    for name, body in new.chains.items():
        if body != old.chains.get(name, ()):
            lines += [f'flush chain bridge {TABLE} {name}'] if old.chains.get(name) else []
            lines += nftables_base.render_rules('bridge', name, body)
    # Chains in the order in which they refer to each other, and before the sets that they use.
    gone = sorted(n for n in old.chains.keys() - new.chains.keys() if not _is_fixed(n))
    lines += [f'flush chain bridge {TABLE} {name}' for name in gone]
    lines += [f'delete chain bridge {TABLE} {name}' for name in gone]
    lines += [f'delete set bridge {TABLE} {n}' for n in sorted(old.sets.keys() - new.sets.keys())]
    return tuple(lines)


def _is_fixed(chain: str) -> bool:
    """Whether the tables have it by themselves, with or without rules."""
    return chain.startswith('provider_')


def _render_elements(
    verb: str, these: Mapping[Element, str], those: Mapping[Element, str]
) -> Iterator[str]:
    """One line for each set."""
    changed: dict[tuple[str, str], list[str]] = {}
    for element, text in these.items():
        if those.get(element) != text:
            family, name, key = element
            changed.setdefault((family, name), []).append(key if verb == 'delete' else text)
    for (family, name), texts in changed.items():
        yield f'{verb} element {family} {TABLE} {name} {{ {", ".join(texts)} }}'


def _devices(state: State) -> set[str]:
    return {key.split('"')[1] for _family, name, key in state.elements if name == 'macs'}


def _render_forgotten_drops(devices: Iterable[str]) -> Iterator[str]:
    """Remove what was counted of these. As nobody knows which reasons there were, all are there
    first: what is there already stays so."""
    reasons = range(len(nftables_base.REASONS['bridge']))
    keys = [f'"{device}" . {number:#x}' for device in sorted(devices) for number in reasons]
    if keys:
        elements = f'element bridge {TABLE} {nftables_base.DROPS} {{ {", ".join(keys)} }}'
        yield f'add {elements}'
        yield f'delete {elements}'


def parse_state(
    listing: Iterable[Mapping[str, Any]],
    wanted: State,
    tables: Tables = nftables_base.EVERYTHING,
) -> State | None:
    """What the listing of both tables (libnftables-json(5), the list below ``nftables``) says is
    there; None when what they always hold is not as it should be, or of another version.
    ``wanted`` gives the texts of the chains whose digest is in the listing."""
    objects = list(listing)
    found = _parse_chains(objects)
    versions = {family for family, name in found if name == tables.version_chain}
    if versions != {'bridge', 'inet'} or not tables.seals.items() <= found.items():
        return None
    elements: dict[Element, str] = {}
    sets: dict[str, str] = {}
    for item in (item[kind] for item in objects for kind in ('set', 'map') if kind in item):
        if item['name'] == nftables_base.DROPS:
            continue
        elements.update(_parse_elements(item))
        if item['family'] == 'bridge' and item['name'] not in SETS:
            sets[item['name']] = f'type mark . ipv{item["name"][1]}_addr'
    chains = {
        name: _known_body(seal, wanted.chains.get(name, ()))
        for (family, name), seal in found.items()
        if family == 'bridge' and (name not in tables.chains or _is_fixed(name))
    }
    return State(elements=elements, sets=sets, chains=chains)


def _parse_chains(objects: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[int, str]]:
    """How many rules each chain has, and the comment of its last one, by family and name."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for item in objects:
        if 'chain' in item:
            found[item['chain']['family'], item['chain']['name']] = (0, '')
    for item in objects:
        if 'rule' in item:
            key = (item['rule']['family'], item['rule']['chain'])
            found[key] = (found[key][0] + 1, item['rule'].get('comment', ''))
    return found


def _known_body(seal: tuple[int, str], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The rules of a chain if they are as wanted, else something that they are not."""
    if seal == nftables_base.seal(wanted):
        return wanted
    return ('unknown',) if seal[0] else ()


def _parse_elements(found: Mapping[str, Any]) -> Iterator[tuple[Element, str]]:
    family, name = found['family'], found['name']
    for entry in found.get('elem', ()):
        value, target = (entry[0], entry[1]) if 'map' in found else (entry, None)
        parts = value['concat'] if isinstance(value, Mapping) else [value]
        key = ' . '.join(_parse_part(part, name, place) for place, part in enumerate(parts))
        text = key if target is None else f'{key} : {_parse_target(target)}'
        yield (family, name, key), text


def _parse_part(part: Any, name: str, place: int) -> str:
    if place == 0 and name in _BY_DEVICE:
        return f'"{part}"'
    if name == 'raw_macs':
        return f'0x{_number(part):012x}'
    return f'{_number(part):#x}' if name == 'raw_ipv6' else str(part)


def _number(part: Any) -> int:
    """Those beyond 64 bits are written as text."""
    return int(part, 0) if isinstance(part, str) else int(part)


def _parse_target(target: Any) -> str:
    if not isinstance(target, Mapping):
        return str(target)
    verdict, goal = next(iter(target.items()))
    return str(verdict) if goal is None else f'{verdict} {goal["target"]}'
