"""Everything a sandbox host has, as text, and the difference between two such lists.

``take`` asks other instruments than the service under test uses (``ip``, ``nft``,
``iptables-save``, ``virsh``, ``find``), and gives a dict of category -> sorted lines.  What is
left out or rewritten, and why:

* Counters of packets, and how long a set element still has to live: they change by themselves.
* ``vnet7`` reads ``vnet*``: libvirt numbers the devices of guests and never uses a number twice.
  Two of them are still two lines.
* Link-local IPv6 addresses and routes, and multicast routes: the kernel makes them when a device
  gets its first carrier, so whether they are there depends on what was plugged before.  Likewise
  whether a device or a route has a carrier now; whether it is switched on is compared.
* Chains with a hook, without rules and with policy accept, and tables with nothing else in them:
  iptables-nft and ebtables-nft make them on first use, even to list them, and never remove them.
* The size and content of files, libvirt's own log of each guest, and SQLite's journals.  That a
  file is there, whose it is and its mode are compared.
* PostgreSQL's process for each connection: services open and close them as they need.
* Columns that only say when something was last seen or changed.
* Connection tracking entries: they time out by themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
import json
import re
from typing import Any

from lab import checkout, dump_database
from lab.compute import RUN, STATE
from lab.libvirtd import URI
from lab.sandbox import Sandbox

Inventory = dict[str, list[str]]

#: Where the services and libvirt keep files.
DIRECTORIES = (
    STATE,
    RUN,
    '/etc/nova',
    '/etc/libvirt',
    '/run/libvirt',
    '/var/lib/libvirt',
    '/var/log/libvirt',
)
VOLATILE_FILES = re.compile(r'/var/log/libvirt/|-(wal|shm|journal)$')
VOLATILE_COLUMNS = frozenset({'updated_at', 'last_seen_at', 'members_revision', 'released_at'})
#: What a host has is measured again and again; a virtual machine's memory may change meanwhile.
MEASURED_COLUMNS = {'compute_nodes': frozenset({'memory_mb', 'disk_gb'})}
VNET = re.compile(r'\bvnet\d+\b')
SYSCTLS = (
    'net.ipv4.ip_forward',
    'net.ipv6.conf.all.forwarding',
    'net.bridge.bridge-nf-call-iptables',
    'net.bridge.bridge-nf-call-ip6tables',
    'net.bridge.bridge-nf-call-arptables',
)
CONNECTION_PROCESS = re.compile(r'^\S+ postgres: \S+ \S+ [\d.]+\(\d+\) ')
#: The processes that make up the measurement itself.
OWN_PROCESS = re.compile(r'^\S+ (ps -eo |/bin/sh -c cd "\$1")')


def take(sandbox: Sandbox, database_url: str | None = None) -> Inventory:
    """The inventory of a sandbox; about a second.

    :param database_url: a SQLAlchemy URL, as seen inside, whose rows are listed as well
    """
    found = {
        name: sorted(VNET.sub('vnet*', line) for line in list_category(sandbox))
        for name, list_category in CATEGORIES.items()
    }
    if database_url is not None:
        found['database'] = sorted(list_rows(sandbox, database_url))
    return found


def diff(before: Inventory, after: Inventory, *, allow: Sequence[str] = ()) -> list[str]:
    """Readable lines: ``+ category: line`` for what came, ``-`` for what went.

    :param allow: regular expressions; a line of which one matches a part is no difference
    """
    allowed = [re.compile(pattern) for pattern in allow]
    lines = []
    for category in sorted(before.keys() | after.keys()):
        old = Counter(before.get(category, ()))
        new = Counter(after.get(category, ()))
        for sign, counted in (('-', old - new), ('+', new - old)):
            lines += [f'{sign} {category}: {line}' for line in sorted(counted.elements())]
    return [line for line in lines if not any(pattern.search(line) for pattern in allowed)]


def ask(sandbox: Sandbox, *command: str) -> str:
    """What a command prints; one that is missing or fails says so in its place."""
    done = sandbox.run(command, check=False)
    if done.returncode == 0:
        return done.stdout
    return f'# {command[0]} failed: {done.stderr.strip()}'


def ask_json(sandbox: Sandbox, *command: str) -> list[dict[str, Any]]:
    text = sandbox.output(*command)
    found: list[dict[str, Any]] = json.loads(text or '[]')
    return found


def compact(value: Any) -> str:
    """A value as short, stable text."""
    return json.dumps(value, sort_keys=True, separators=(',', ':'), default=str)


# --- links, addresses, routes ---------------------------------------------------------


def list_links(sandbox: Sandbox) -> Iterable[str]:
    for link in ask_json(sandbox, 'ip', '-j', '-d', 'link', 'show'):
        kind = link.get('linkinfo', {}).get('info_kind', link['link_type'])
        up = 'up' if 'UP' in link['flags'] else 'down'
        vlan = link.get('linkinfo', {}).get('info_data', {}).get('id', '')
        words = [link['ifname'], kind, link.get('address', ''), f'mtu {link["mtu"]}', up]
        words += [f'master {link["master"]}'] if 'master' in link else []
        words += [f'vlan {vlan} of {link.get("link")}'] if kind == 'vlan' else []
        yield ' '.join(words)


def list_addresses(sandbox: Sandbox) -> Iterable[str]:
    for link in ask_json(sandbox, 'ip', '-j', 'address', 'show'):
        for address in link['addr_info']:
            if not is_link_local(address['local']):
                local = f'{address["local"]}/{address["prefixlen"]}'
                yield f'{link["ifname"]} {local} {address["scope"]}'


def list_routes(sandbox: Sandbox) -> Iterable[str]:
    for family in ('-4', '-6'):
        text = sandbox.output('ip', family, '-o', 'route', 'show', 'table', 'all')
        for line in text.splitlines():
            if not re.search(r'\b(fe80:|ff00:)|\bmulticast\b', line):
                yield ' '.join(re.sub(r'\b(linkdown|dead|expires \S+)', '', line).split())


def list_rules(sandbox: Sandbox) -> Iterable[str]:
    for family in ('-4', '-6'):
        for line in sandbox.output('ip', family, 'rule', 'show').splitlines():
            yield f'{family} {" ".join(line.split())}'


def is_link_local(address: str) -> bool:
    return address.lower().startswith('fe80:')


def list_namespaces(sandbox: Sandbox) -> Iterable[str]:
    return ask(sandbox, 'ip', 'netns', 'list').splitlines()


def list_sysctls(sandbox: Sandbox) -> Iterable[str]:
    # A kernel without bridge filtering has not all of them.
    return sandbox.run(['sysctl', '-e', *SYSCTLS], check=False).stdout.splitlines()


# --- firewall -------------------------------------------------------------------------


def list_nft(sandbox: Sandbox) -> Iterable[str]:
    text = sandbox.run(['nft', '-j', 'list', 'ruleset'], check=False).stdout
    devices = {link['ifname'] for link in ask_json(sandbox, 'ip', '-j', 'link', 'show')}
    return describe_nft(json.loads(text)['nftables'] if text.strip() else [], devices)


def describe_nft(items: Sequence[dict[str, Any]], devices: Collection[str] = ()) -> list[str]:
    """A line for each object of ``nft -j list ruleset`` that somebody wants to be there. What has
    been dropped on one of ``devices``, those that are there, is no such object."""
    objects = [
        (kind, without_drops(body, devices)) for item in items for kind, body in item.items()
    ]
    used = {chain_key(body, 'chain') for kind, body in objects if kind == 'rule'}
    kept = [
        (kind, strip_volatile(body))
        for kind, body in objects
        if kind not in ('metainfo', 'table')
        and not (kind == 'chain' and is_untouched(body, chain_key(body, 'name') in used))
    ]
    tables = {(body['family'], body['table']) for _, body in kept}
    kept += [
        (kind, strip_volatile(body))
        for kind, body in objects
        if kind == 'table' and (body['family'], body['name']) in tables
    ]
    return [f'{kind} {compact(body)}' for kind, body in kept]


def without_drops(body: dict[str, Any], devices: Collection[str]) -> dict[str, Any]:
    """The set of drops, whose elements are a device and a reason, without those of devices."""
    if body.get('name') != 'drops' or 'elem' not in body:
        return body
    gone = [one for one in body['elem'] if one['elem']['val']['concat'][0] not in devices]
    others = {key: value for key, value in body.items() if key != 'elem'}
    return others | {'elem': gone} if gone else others


def chain_key(body: dict[str, Any], name: str) -> tuple[str, str, str]:
    return body['family'], body['table'], body[name]


def is_untouched(chain: dict[str, Any], used: bool) -> bool:
    """A chain that the iptables and ebtables commands make by themselves."""
    return 'hook' in chain and chain.get('policy') == 'accept' and not used


def strip_volatile(value: Any) -> Any:
    """Without handles, counters and times to live, at any depth."""
    if isinstance(value, list):
        return [strip_volatile(item) for item in value]
    if not isinstance(value, dict):
        return value
    dropped = ('handle', 'expires', 'packets', 'bytes')
    return {key: strip_volatile(item) for key, item in value.items() if key not in dropped}


def list_saved_rules(command: str) -> Callable[[Sandbox], Iterable[str]]:
    """What iptables-save or one of its relatives prints."""

    def list_category(sandbox: Sandbox) -> Iterable[str]:
        return describe_saved_rules(ask(sandbox, command))

    return list_category


def describe_saved_rules(text: str) -> list[str]:
    """``TABLE LINE`` for each chain and rule; untouched built-in chains are left out."""
    table, lines = '', []
    for line in text.splitlines():
        line = re.sub(r'\[\d+:\d+\]', '', line).strip()
        if line.startswith('*'):
            table = line[1:]
        elif line and not re.match(r'#|COMMIT|:[A-Z]+ ACCEPT$', line):
            lines.append(f'{table} {line}')
    return lines


def list_ipsets(sandbox: Sandbox) -> Iterable[str]:
    text = ask(sandbox, 'ipset', 'save')
    return [re.sub(r' timeout \d+$', '', line) for line in text.splitlines()]


# --- libvirt --------------------------------------------------------------------------


def list_libvirt(*arguments: str) -> Callable[[Sandbox], Iterable[str]]:
    """The lines of a virsh list."""

    def list_category(sandbox: Sandbox) -> Iterable[str]:
        text = ask(sandbox, 'virsh', '-q', '-c', URI, *arguments)
        return [' '.join(line.split()) for line in text.splitlines() if line.strip()]

    return list_category


def list_domains(sandbox: Sandbox) -> Iterable[str]:
    """Name and state; libvirt's running number is left out."""
    for line in list_libvirt('list', '--all')(sandbox):
        yield line.partition(' ')[2]


# --- processes, files, database -------------------------------------------------------


def list_processes(sandbox: Sandbox) -> Iterable[str]:
    text = sandbox.output('ps', '-eo', 'user:32,args', '--no-headers', '--cols', '2000')
    for line in text.splitlines():
        line = ' '.join(line.split())
        if not OWN_PROCESS.match(line) and not CONNECTION_PROCESS.match(line):
            yield line


def list_files(sandbox: Sandbox) -> Iterable[str]:
    command = ['find', *DIRECTORIES, '-printf', '%p %y %m %u:%g\\n']
    for line in sandbox.run(command, check=False).stdout.splitlines():
        if not VOLATILE_FILES.search(line.split(' ', 1)[0]):
            yield line


def list_mounts(sandbox: Sandbox) -> Iterable[str]:
    return sandbox.read_file('/proc/mounts').splitlines()


def list_rows(sandbox: Sandbox, database_url: str) -> Iterable[str]:
    python = checkout.venv_command('python')
    tables = json.loads(sandbox.output(python, dump_database.__file__, database_url))
    for table, rows in tables.items():
        volatile = VOLATILE_COLUMNS | MEASURED_COLUMNS.get(table, frozenset())
        for row in rows:
            kept = {key: value for key, value in row.items() if key not in volatile}
            yield f'{table} {compact(kept)}'


CATEGORIES: dict[str, Callable[[Sandbox], Iterable[str]]] = {
    'link': list_links,
    'address': list_addresses,
    'route': list_routes,
    'rule': list_rules,
    'network namespace': list_namespaces,
    'sysctl': list_sysctls,
    'nft': list_nft,
    'iptables': list_saved_rules('iptables-save'),
    'ip6tables': list_saved_rules('ip6tables-save'),
    'iptables-legacy': list_saved_rules('iptables-legacy-save'),
    'ip6tables-legacy': list_saved_rules('ip6tables-legacy-save'),
    'ebtables': list_saved_rules('ebtables-save'),
    'ipset': list_ipsets,
    'domain': list_domains,
    'nwfilter': list_libvirt('nwfilter-list'),
    'nwfilter binding': list_libvirt('nwfilter-binding-list'),
    'libvirt network': list_libvirt('net-list', '--all'),
    'process': list_processes,
    'file': list_files,
    'mount': list_mounts,
}
