"""The default rules, one module for each noun; ``oslopolicy-sample-generator`` prints them."""

from __future__ import annotations

from oslo_policy import policy

from nova.api.policies import (
    availability_zones,
    base,
    extensions,
    flavors,
    floating_ips,
    hypervisors,
    interfaces,
    networks,
    quotas,
    security_groups,
    servers,
    services,
)

_MODULES = (
    base,
    availability_zones,
    extensions,
    flavors,
    floating_ips,
    hypervisors,
    interfaces,
    networks,
    quotas,
    security_groups,
    servers,
    services,
)


def list_rules() -> list[policy.RuleDefault]:
    """Every rule of the API."""
    return [rule for module in _MODULES for rule in module.RULES]
