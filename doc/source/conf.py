"""Sphinx configuration: ``tox -e docs`` builds with warnings as errors."""

project = 'multi-NIC nova'
copyright = 'The multi-NIC nova authors'  # noqa: A001
extensions = [
    'oslo_config.sphinxext',
    'reno.sphinxext',
]
html_theme = 'alabaster'
html_theme_options = {
    'description': 'Instances with several network interfaces',
    'fixed_sidebar': True,
    'page_width': '70em',
}
html_static_path: list[str] = []
html_show_sourcelink = False
nitpicky = True
# The options page refers to types of oslo.config that have no page of their own.
nitpick_ignore_regex = [('py:.*', r'oslo_config\..*')]
