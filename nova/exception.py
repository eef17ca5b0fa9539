"""Every error the project raises.

::

    NovaException
    ├── InvalidInput            400  the caller's value is wrong; the text names the field
    │   ├── InvalidName
    │   ├── InvalidCidr
    │   ├── ImageUnacceptable        the image's format or content may not be booted
    │   ├── FixedIpInvalid           address outside the network's range or reserved
    │   └── NetworkKindUnsupported
    ├── NotAuthorized           403
    │   └── QuotaExceeded
    ├── NotFound                404
    │   ├── InstanceNotFound
    │   ├── FlavorNotFound
    │   ├── ImageNotFound
    │   ├── NetworkNotFound
    │   ├── VifNotFound
    │   ├── HostNotFound
    │   ├── ServiceNotFound
    │   ├── FloatingIpNotFound
    │   ├── FloatingIpPoolNotFound
    │   ├── NoMoreFloatingIps
    │   ├── QuotaClassNotFound
    │   ├── SecurityGroupNotFound
    │   ├── SecurityGroupRuleNotFound
    │   └── ConsoleNotAvailable
    ├── MicroversionUnsupported 406
    ├── Conflict                409  the request is well formed but the state forbids it
    │   ├── InstanceInvalidState
    │   ├── InstanceIsLocked
    │   ├── HostInUse
    │   ├── NetworkInUse
    │   ├── NetworkOverlap
    │   │   └── VlanInUse
    │   ├── NoMoreFixedIps
    │   ├── FixedIpInUse
    │   ├── MacInUse
    │   ├── FlavorExists
    │   ├── FloatingIpExists
    │   ├── SecurityGroupExists
    │   ├── SecurityGroupRuleExists
    │   └── SecurityGroupInUse
    └── Fault                   500  something under us failed
        ├── NoValidHost
        ├── ImageDownloadFailed
        ├── HypervisorError          libvirt refused or failed
        │   └── DomainNotFound
        ├── NetworkSetupFailed       a link, address or DHCP server could not be made
        ├── FirewallSetupFailed
        └── ServiceUnavailable  503  no live service took the call

A class gives the text (``msg_fmt``, filled from keyword arguments, which stay available as
``kwargs``) and the HTTP status (``code``) that the API layer answers with. ``safe`` says whether
the text may be shown to a tenant: the text of a ``Fault`` is for the operator unless its class
says otherwise (OSSA-2019-003).
"""

from __future__ import annotations

from typing import Any, ClassVar


class NovaException(Exception):
    """Base of the tree; not raised itself.

    :param message: replaces the class's text when given.
    :param kwargs: fill ``msg_fmt``; must be JSON values, since they cross RPC.
    """

    msg_fmt: ClassVar[str] = 'An unknown error occurred.'
    code: ClassVar[int] = 500
    safe: ClassVar[bool] = True

    def __init__(self, message: str | None = None, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.message = message if message is not None else self.msg_fmt % kwargs
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.kwargs))


def _rebuild(cls: type[NovaException], message: str, kwargs: dict[str, Any]) -> NovaException:
    return cls(message, **kwargs)


class InvalidInput(NovaException):
    msg_fmt = 'Invalid input for %(field)s: %(reason)s'
    code = 400


class InvalidName(InvalidInput):
    msg_fmt = 'Invalid %(field)s %(value)r: %(reason)s'


class InvalidCidr(InvalidInput):
    msg_fmt = 'Invalid %(field)s %(value)r: %(reason)s'


class ImageUnacceptable(InvalidInput):
    msg_fmt = 'Image %(image_id)s is unacceptable: %(reason)s'


class FixedIpInvalid(InvalidInput):
    msg_fmt = 'Fixed IP address %(address)s cannot be used on network %(network)s: %(reason)s'


class NetworkKindUnsupported(InvalidInput):
    msg_fmt = 'Network kind %(kind)r is not one of %(allowed)s'


class NotAuthorized(NovaException):
    msg_fmt = 'Not authorized.'
    code = 403


class QuotaExceeded(NotAuthorized):
    msg_fmt = 'Quota exceeded for %(resource)s: allowed %(allowed)s, asked for %(requested)s'


class NotFound(NovaException):
    msg_fmt = 'Resource could not be found.'
    code = 404


class InstanceNotFound(NotFound):
    msg_fmt = 'Instance %(instance_id)s could not be found.'


class FlavorNotFound(NotFound):
    msg_fmt = 'Flavor %(flavor_id)s could not be found.'


class ImageNotFound(NotFound):
    msg_fmt = 'Image %(image_id)s could not be found.'


class NetworkNotFound(NotFound):
    msg_fmt = 'Network %(network_id)s could not be found.'


class VifNotFound(NotFound):
    msg_fmt = 'Virtual interface %(vif_id)s could not be found.'


class FloatingIpNotFound(NotFound):
    msg_fmt = 'Floating IP %(floating_ip)s could not be found.'


class FloatingIpPoolNotFound(NotFound):
    msg_fmt = 'Floating IP pool %(pool)s could not be found.'


class NoMoreFloatingIps(NotFound):
    msg_fmt = 'No floating IP is left in pool %(pool)s.'


class HostNotFound(NotFound):
    msg_fmt = 'Host %(host)s could not be found.'


class ServiceNotFound(NotFound):
    msg_fmt = 'Service %(binary)s on host %(host)s could not be found.'


class QuotaClassNotFound(NotFound):
    msg_fmt = 'There is no quota class %(name)s; the only one is %(allowed)s.'


class SecurityGroupNotFound(NotFound):
    msg_fmt = 'Security group %(group_id)s could not be found.'


class SecurityGroupRuleNotFound(NotFound):
    msg_fmt = 'Security group rule %(rule_id)s could not be found.'


class ConsoleNotAvailable(NotFound):
    msg_fmt = 'Guest %(instance_id)s does not have a console log available.'


class MicroversionUnsupported(NovaException):
    msg_fmt = (
        'Version %(version)s is not served: the lowest is %(lowest)s, the highest %(highest)s.'
    )
    code = 406


class Conflict(NovaException):
    msg_fmt = 'Conflict with the present state.'
    code = 409


class InstanceInvalidState(Conflict):
    msg_fmt = "Cannot '%(method)s' instance %(instance_id)s while it is in state %(state)s"


class InstanceIsLocked(Conflict):
    msg_fmt = 'Instance %(instance_id)s is locked'


class HostInUse(Conflict):
    msg_fmt = 'Host %(host)s cannot be forgotten: %(reason)s.'


class NetworkInUse(Conflict):
    msg_fmt = 'Network %(network_id)s is still in use by %(count)d interface(s).'


class NetworkOverlap(Conflict):
    msg_fmt = '%(field)s %(value)s conflicts with network %(label)s (%(network_id)s).'


class VlanInUse(NetworkOverlap):
    pass


class NoMoreFixedIps(Conflict):
    msg_fmt = 'No fixed IP address is left on network %(network)s.'


class FixedIpInUse(Conflict):
    msg_fmt = 'Fixed IP address %(address)s is already in use on network %(network)s.'


class MacInUse(Conflict):
    msg_fmt = 'MAC address %(mac)s is already in use.'


class FloatingIpExists(Conflict):
    msg_fmt = 'An address for pool %(pool)s is a floating IP already.'


class FlavorExists(Conflict):
    msg_fmt = 'Flavor %(name)s already exists.'


class SecurityGroupExists(Conflict):
    msg_fmt = 'Security group %(name)s already exists.'


class SecurityGroupRuleExists(Conflict):
    msg_fmt = 'Security group %(group_id)s has a rule that says the same.'


class SecurityGroupInUse(Conflict):
    msg_fmt = 'Security group %(name)s is still in use by %(count)d interface(s).'


class Fault(NovaException):
    msg_fmt = 'An internal fault occurred.'
    code = 500
    safe = False


class NoValidHost(Fault):
    msg_fmt = 'No valid host was found. %(reason)s'
    safe = True


class ImageDownloadFailed(Fault):
    msg_fmt = 'Image %(image_id)s could not be downloaded: %(reason)s'


class HypervisorError(Fault):
    msg_fmt = 'The hypervisor refused to %(action)s: %(reason)s'
    safe = True


class DomainNotFound(HypervisorError):
    msg_fmt = 'Domain %(name)s does not exist.'


class NetworkSetupFailed(Fault):
    msg_fmt = 'Network %(network)s could not be set up: %(reason)s'


class FirewallSetupFailed(Fault):
    msg_fmt = 'The firewall of %(vif)s could not be set up: %(reason)s'


class ServiceUnavailable(Fault):
    msg_fmt = 'No %(topic)s service answered on host %(host)s.'
    code = 503
    safe = True
