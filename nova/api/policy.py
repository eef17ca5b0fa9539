"""Who may do what: oslo.policy with the defaults of :mod:`nova.api.policies`.

Rules are enforced at one point, :mod:`nova.api.dispatch`, by the names in the route table.
"""

from __future__ import annotations

from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from nova import context as nova_context
from nova import exception
from nova.api import policies
from nova.api.policies import base


class Policy:
    """The rules in force: our defaults, and what the operator's policy file says instead.

    :param conf: parsed options; the group ``oslo_policy`` names the file.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._enforcer = oslo_policy.Enforcer(conf)
        self._enforcer.register_defaults(policies.list_rules())

    def is_admin(self, context: nova_context.RequestContext) -> bool:
        """Whether the caller counts as an administrator of this service."""
        return self._enforce(context, base.CONTEXT_IS_ADMIN)

    def can(self, context: nova_context.RequestContext, rule: str) -> bool:
        """Whether ``rule`` lets the caller work on its own project.

        The project is the caller's own, since another's instance is not found at all
        (``compute.api.get``): a 403 would tell that it exists. A token without a project, such as
        a domain's, passes no rule.
        """
        return context.project_id is not None and self._enforce(context, rule)

    def authorize(self, context: nova_context.RequestContext, rule: str) -> None:
        """:raises NotAuthorized: the caller may not; the text names the rule."""
        if not self.can(context, rule):
            raise exception.NotAuthorized(f"Policy doesn't allow {rule} to be performed.")

    def _enforce(self, context: nova_context.RequestContext, rule: str) -> bool:
        target = {'project_id': context.project_id, 'user_id': context.user_id}
        try:
            # authorize(), not enforce(): a rule that nobody registered is an error, not a no.
            return bool(self._enforcer.authorize(rule, target, context))
        except oslo_policy.InvalidScope:
            return False
