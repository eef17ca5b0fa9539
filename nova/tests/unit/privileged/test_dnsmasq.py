from __future__ import annotations

import os
import pathlib

import pytest

from nova.privileged import dnsmasq


@pytest.mark.parametrize(
    'line',
    [
        'dhcp-script=/bin/sh',
        'conf-file=/etc/shadow',
        'conf-dir=/tmp',
        'dhcp-luascript=/tmp/x',
        'enable-tftp',
        'dhcp-hostsfile=/etc/shadow',
        'dhcp-hostsfile=/run/nova/../../etc/shadow',
        'dhcp-hostsdir=/run/novae/x',
        'dhcp-hostsdir=',
        ' dhcp-script=/bin/sh',
        'port=0\rdhcp-script=/bin/sh',
    ],
)
def test_a_configuration_that_reaches_elsewhere_is_refused(line: str) -> None:
    with pytest.raises(OSError, match=r'option|is not in'):
        dnsmasq.check_config(f'port=0\n{line}\n', '/run/nova')


def test_our_options_pass() -> None:
    dnsmasq.check_config('# x\n\nport=0\ndhcp-hostsdir=/run/nova/networks/1/hosts.d\n', '/run/nova')


@pytest.mark.parametrize('text', ['', 'x', '-1', '0', '999999999', '1 2'])
def test_a_pid_file_that_names_no_server(tmp_path: pathlib.Path, text: str) -> None:
    pid_file = tmp_path / 'pid'
    pid_file.write_text(text)

    assert dnsmasq.running_pid(str(pid_file)) is None


def test_another_process_is_not_the_server(tmp_path: pathlib.Path) -> None:
    pid_file = tmp_path / 'pid'
    pid_file.write_text(str(os.getpid()))

    assert dnsmasq.running_pid(str(pid_file)) is None
    assert dnsmasq.running_pid(str(tmp_path / 'missing')) is None
