"""What is done for each operation of the route table, one module for each noun.

A handler is called when the request is authenticated, authorized and validated. It calls
``compute.api`` or ``network.api``, and renders what it gets by :mod:`nova.api.views`.
"""
