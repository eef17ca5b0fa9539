"""Security groups of guests on two hosts: a change reaches both at once."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import threading
import time

import pytest

from lab.sandbox import Sandbox, kill_group, wait_until
from nova.network.firewall import rules
from nova.tests.integration.cloud import clouds
from nova.tests.integration.cloud import two_hosts as pair
from nova.tests.integration.firewall import packets

pytestmark = pytest.mark.root

#: Far below [DEFAULT] reconcile_interval_s: who follows so soon has been told.
_TOLD_S = 20
#: A guest asks twenty times a second; so long a silence is no accident.
_SILENCE_S = 1.0


class Answers:
    """When a guest answered to the other, as seen where its host's cable begins."""

    def __init__(self, address: str) -> None:
        self._source = packets.raw_address(address)
        self.last: float | None = None

    @contextlib.contextmanager
    def watched(self, host: Sandbox, device: str) -> Iterator[None]:
        command = ['python3', str(clouds.WATCH), 'watch', device]
        with host.popen(command) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == 'ready'

            def read() -> None:
                for line in process.stdout or ():
                    self._note(bytes.fromhex(line.strip()))

            reader = threading.Thread(target=read)
            reader.start()
            try:
                yield
            finally:
                kill_group(process)
                reader.join()

    def _note(self, frame: bytes) -> None:
        is_echo = frame[12:14] == b'\x08\0' and (frame[23], frame[34]) == (rules.ICMP, 0)
        if is_echo and frame[26:30] == self._source:
            self.last = time.monotonic()

    def become(self, there: bool, since: float, what: str) -> None:
        """Wait until there are some, or none any more, after a change that was asked for at
        ``since``; how long that took is printed."""

        def is_so() -> bool:
            last = self.last or 0.0
            return last > since if there else time.monotonic() - max(last, since) > _SILENCE_S

        assert wait_until(is_so, _TOLD_S, 0.01), what
        print(f'{what}: {max((self.last or 0.0) - since, 0.0):.2f} s')


def boot(cloud: pair.Cloud, group: str) -> clouds.Server:
    """A guest whose only NIC is in this group."""
    answer = cloud.request(
        [{'uuid': cloud.networks['across']['uuid'], 'security_groups': [{'name': group}]}]
    )
    assert answer.status == 202, answer.text
    return clouds.Server(cloud, answer.json()['server']['id'])


def test_a_change_reaches_every_host(two_hosts: pair.Cloud) -> None:
    """Rules and members: the asked guest's host hears of both, wherever they change."""
    cloud = two_hosts
    asked_group, asking_group = cloud.make_group('asked'), cloud.make_group('asking')
    with cloud.only_on(cloud.hosts[0]):
        asked = boot(cloud, 'asked')
        asked.wait_status('ACTIVE')
    with cloud.only_on(cloud.hosts[1]):
        asking = boot(cloud, 'asking')
        asking.wait_status('ACTIVE')
    with cloud.deleted(asked, asking):
        asked.report()
        address = str(asked.interfaces()[0]['fixed_ips'][0]['ip_address'])
        answers = Answers(address)
        action = f'/servers/{asking.uuid}/action'
        uplink = cloud.hosts[0], pair.WIRES['red']
        with cloud.console(asking) as console, answers.watched(*uplink):
            assert console.run(f'ping -i 0.05 {address} >/dev/null 2>&1 &').code == 0
            assert not wait_until(lambda: answers.last is not None, _SILENCE_S, 0.05)
            since = time.monotonic()
            rule = cloud.add_rule(
                asked_group, ip_protocol='icmp', from_port=8, to_port=0, group_id=asking_group
            )
            answers.become(True, since, 'a rule that is new')
            # The other host's guest leaves the group that the rule names, and joins it again.
            cloud.post(action, {'addSecurityGroup': {'name': 'default'}})
            since = time.monotonic()
            cloud.post(action, {'removeSecurityGroup': {'name': 'asking'}})
            answers.become(False, since, 'a member that has left')
            since = time.monotonic()
            cloud.post(action, {'addSecurityGroup': {'name': 'asking'}})
            answers.become(True, since, 'a member that is new')
            since = time.monotonic()
            assert cloud.api.call('DELETE', f'/os-security-group-rules/{rule}').status == 202
            answers.become(False, since, 'a rule that is gone')
    for group in (asked_group, asking_group):
        assert cloud.api.call('DELETE', f'/os-security-groups/{group}').status == 202
