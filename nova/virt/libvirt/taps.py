"""How the libvirt driver uses the firewall of its host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
import threading

from oslo_log import log

from nova import exception
from nova.network import model
from nova.network.firewall import driver as firewall_driver
from nova.network.firewall import rules

LOG = log.getLogger(__name__)


class TapFirewall:
    """What the libvirt driver wants of a firewall, by a driver of :mod:`nova.network.firewall`.

    It begins with the first :meth:`apply_groups`, which tells all guests of the host: until then
    what was in force before the service started stays in force, for guests that are there.
    """

    def __init__(self, driver: firewall_driver.FirewallDriver) -> None:
        #: Whether the domain XML names a filter of libvirt's for each NIC.
        self.uses_filterref = driver.uses_filterref
        self._driver = driver
        self._ruleset = rules.Ruleset()
        self._begun = False
        # Whose NICs the driver was told of, and of whom that was so when all were told last.
        self._instances: set[str] = set()
        self._settled: frozenset[str] = frozenset()
        # Who went, until a list of all guests comes that does not have him any more.
        self._gone: set[str] = set()
        # A guest does not go while his rules are being put in force.
        self._lock = threading.Lock()

    def prepare(self, instance_name: str, vifs: Iterable[model.VIF]) -> None:
        """Have the rules of these NICs in force before they are made, or change those of NICs that
        are there, all of them at once.

        :raises FirewallSetupFailed: they could not be loaded; new NICs are closed.
        """
        self._gone.discard(instance_name)
        self._instances.add(instance_name)
        self._driver.prepare(instance_name, [_policy(vif) for vif in vifs], self._ruleset)

    def remove(self, instance_name: str, vifs: Iterable[model.VIF]) -> None:
        """Forget all NICs of the instance, which must be gone from the host.

        :raises FirewallSetupFailed: they are still there.
        """
        with self._lock:
            if self._begun:
                self._gone.add(instance_name)
                self._driver.remove(instance_name)
        self._instances.discard(instance_name)

    def remove_nic(self, instance_name: str, vif: model.VIF) -> None:
        """Forget one NIC, which must be gone from the host.

        :raises FirewallSetupFailed: its rules are still there.
        """
        if self._begun:
            self._driver.remove(instance_name, [vif.device])

    def apply_groups(
        self,
        guests: Mapping[str, model.NetworkInfo],
        ruleset: rules.Ruleset,
        *,
        repair: bool = False,
    ) -> frozenset[str]:
        """Have all NICs of the host, by instance name, follow ``ruleset``. Who went since the list
        was made stays away.

        A guest whose rules cannot be loaded keeps what it had, and no other suffers from it.

        :param repair: look also whether somebody else has changed the rules.
        :returns: the ids of the NICs that do.
        :raises FirewallSetupFailed: the firewall could not be begun, or not be repaired.
        """
        policies = {name: [_policy(vif) for vif in info] for name, info in guests.items()}
        self._ruleset = ruleset
        self._instances |= guests.keys() - self._gone
        if not self._begun:
            self._driver.init_host(policies, ruleset)
            self._begun = True
        elif repair and self._driver.repair():
            LOG.warning('Somebody else had changed the rules of the firewall; they are repaired.')
        following = [
            name
            for name, nics, part in self._parts(policies, ruleset)
            if self._follows(name, nics, part)
        ]
        self._forget(self._settled - guests.keys())
        self._settled = frozenset(self._instances)
        self._gone &= guests.keys()
        return frozenset(vif.id for name in following for vif in guests[name])

    def _forget(self, instance_names: Iterable[str]) -> None:
        """Who was there when all were told last, and is not among them now, is gone; of two lists
        the older may have come later. Who came since stays."""
        for name in sorted(instance_names):
            try:
                self._driver.remove(name)
                self._instances.discard(name)
            except exception.FirewallSetupFailed:
                LOG.exception('the rules of %s, which is gone, are still there', name)

    def _parts(
        self, policies: Mapping[str, Sequence[rules.NicPolicy]], ruleset: rules.Ruleset
    ) -> Iterator[tuple[str, Sequence[rules.NicPolicy], rules.Ruleset]]:
        """Each guest with what it is to follow: all of it or, if that cannot be loaded, only what
        it refers to, so that guests suffer from the groups that they are in, and from no other."""
        try:
            self._driver.refresh(ruleset)
        except exception.FirewallSetupFailed:
            LOG.exception('some group could not be loaded; it goes on guest by guest')
            for name, nics in policies.items():
                yield name, nics, ruleset.only_for(nics)
        else:
            for name, nics in policies.items():
                yield name, nics, ruleset

    def _follows(
        self, instance_name: str, nics: Sequence[rules.NicPolicy], ruleset: rules.Ruleset
    ) -> bool:
        with self._lock:
            if instance_name in self._gone:
                return False
            try:
                self._driver.apply(instance_name, nics, ruleset)
            except exception.FirewallSetupFailed:
                LOG.exception('the NICs of %s do not follow their groups', instance_name)
                return False
        return True


def _policy(vif: model.VIF) -> rules.NicPolicy:
    return rules.build_nic_policy(vif, vif.security_groups)
