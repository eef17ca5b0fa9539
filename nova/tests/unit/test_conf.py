from __future__ import annotations

from collections.abc import Iterator
import importlib
import pkgutil
import textwrap
from types import ModuleType
from typing import Any

from oslo_config import cfg
import pytest

import nova.conf

MODULES: list[ModuleType] = [
    importlib.import_module(f'nova.conf.{info.name}')
    for info in pkgutil.iter_modules(nova.conf.__path__)
]


def own_options() -> Iterator[tuple[str, cfg.Opt]]:
    for module in MODULES:
        for option in module.OPTS:
            yield module.__name__, option


OPTIONS = list(own_options())


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    nova.conf.register(conf)
    conf([], project='nova', default_config_files=[], default_config_dirs=[])
    return conf


def test_there_are_options() -> None:
    assert len(OPTIONS) > 20
    assert {'DEFAULT', 'libvirt'} <= {group for group, _ in nova.conf.list_opts()}


@pytest.mark.parametrize(('module', 'option'), OPTIONS, ids=[o.name for _, o in OPTIONS])
def test_help_is_a_paragraph(module: str, option: cfg.Opt) -> None:
    text = (option.help or '').strip()
    assert len(text.split()) >= 5
    assert text[0].isupper() or text.startswith('``')
    assert text.endswith('.')
    assert max(map(len, text.splitlines())) <= 100
    assert text == textwrap.dedent(text), 'the help must not be indented'


@pytest.mark.parametrize(('module', 'option'), OPTIONS, ids=[o.name for _, o in OPTIONS])
def test_every_choice_is_explained(module: str, option: cfg.Opt) -> None:
    for choice, meaning in (getattr(option.type, 'choices', None) or {}).items():
        assert meaning, f'{choice} has no explanation'


@pytest.mark.parametrize(('module', 'option'), OPTIONS, ids=[o.name for _, o in OPTIONS])
def test_a_time_has_its_unit_in_its_name(module: str, option: cfg.Opt) -> None:
    if any(word in option.name for word in ('interval', 'timeout', 'lease_time', 'quarantine')):
        assert option.name.endswith(('_s', '_ms', '_minutes'))


def test_registering_twice_is_no_error(conf: cfg.ConfigOpts) -> None:
    fresh = cfg.ConfigOpts()
    nova.conf.register(fresh)
    nova.conf.register(fresh)


def test_the_defaults_are_valid(conf: cfg.ConfigOpts) -> None:
    """Reading an option checks its default against its type, range and choices."""
    for group, options in nova.conf.list_opts():
        for option in options:
            if option.required:
                continue
            values: Any = conf if group == 'DEFAULT' else getattr(conf, group, None)
            if values is not None and option.dest in values:
                values[option.dest]


def test_all_that_is_registered_is_listed(conf: cfg.ConfigOpts) -> None:
    """Else oslo-config-generator, and so the manual and nova.conf.sample, leave it out."""
    listed = {(group, o.dest) for group, options in nova.conf.list_opts() for o in options}
    ours = {(module.__name__, o.dest) for module in MODULES for o in module.OPTS}
    assert {dest for _, dest in ours} <= {dest for _, dest in listed}
    groups = {group for group, _ in listed} - {'DEFAULT'}
    for group in groups:
        registered = {name.replace('-', '_') for name in conf[group]}
        missing = registered - {dest for g, dest in listed if g == group}
        assert not missing, f'[{group}] {sorted(missing)}'


def test_nothing_but_the_wiring_reads_conf_globally() -> None:
    """See the docstring of nova.conf."""
    assert nova.conf.CONF is cfg.CONF
