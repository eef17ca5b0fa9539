"""What more than one bench needs."""

from __future__ import annotations

from collections.abc import Generator, Iterator
import contextlib
import os
import pathlib
import secrets
import subprocess

from pyroute2 import netns
import pytest

from bench import figures as measured
from nova import privileged
from nova.privileged import link, nft

_ALL = pytest.StashKey[list[measured.Figure]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        '--figures',
        type=pathlib.Path,
        metavar='FILE',
        help='write what was measured into this file, as a table for the manual',
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ALL] = []


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[measured.Figures]:
    """Where a bench notes what it finds. It is judged when its function has ended."""
    mine = measured.Figures()
    yield mine
    request.config.stash[_ALL] += mine.found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """No bench can forget to judge."""
    yield
    assert isinstance(item, pytest.Function)
    mine = item.funcargs.get('figures')
    assert isinstance(mine, measured.Figures), 'a bench notes what it finds in "figures"'
    if broken := mine.broken():
        pytest.fail('\n'.join(broken), pytrace=False)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    found, machine = config.stash[_ALL], measured.describe_machine()
    terminalreporter.section('figures')
    terminalreporter.write_line(machine)
    for line in measured.render_table(found):
        terminalreporter.write_line(line)
    if page := config.getoption('--figures'):
        page.write_text(measured.render_page(found, machine))


@pytest.fixture
def namespace() -> Iterator[None]:
    """A network namespace with the bridge ``br0``, which the bench and the privileged functions are
    in."""
    if os.geteuid() != 0:
        pytest.skip('needs root')
    name = f'bench-{secrets.token_hex(4)}'
    with contextlib.ExitStack() as undo:
        netns.create(name)
        undo.callback(netns.remove, name)
        outside = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        undo.callback(os.close, outside)
        privileged.network.set_client_mode(False)
        undo.callback(privileged.network.set_client_mode, True)
        netns.setns(name)
        undo.callback(netns.setns, outside)
        undo.callback(link.close)
        undo.callback(nft.close)
        subprocess.run(['ip', 'link', 'add', 'br0', 'type', 'bridge'], check=True)
        yield
