from __future__ import annotations

import pytest

from nova import exception
from nova.db import records
from nova.tests.unit.virt.instances import make_instance, make_network_info
from nova.virt import fake


def test_a_guest_comes_and_goes() -> None:
    driver = fake.FakeDriver()
    driver.init_host('compute1')
    instance = make_instance()
    assert driver.power_state(instance) == records.PowerState.NOSTATE
    driver.spawn(instance, make_network_info(2))
    assert driver.power_state(instance) == records.PowerState.RUNNING
    assert driver.list_instance_names() == [instance.name]
    assert b'fa:16:3e:00:11:01' in driver.console_output(instance, 1000)
    assert len(driver.console_output(instance, 5)) == 5
    with pytest.raises(exception.HypervisorError):
        driver.spawn(instance, make_network_info(2))
    driver.destroy(instance, make_network_info(2))
    driver.destroy(instance, make_network_info(2))
    with pytest.raises(exception.ConsoleNotAvailable):
        driver.console_output(instance, 5)


def test_it_fails_when_told_to() -> None:
    driver = fake.FakeDriver()
    instance = make_instance()
    driver.fail_spawn = exception.HypervisorError(action='start', reason='told to')
    with pytest.raises(exception.HypervisorError):
        driver.spawn(instance, make_network_info(1))
    assert driver.list_instance_names() == []
    driver.fail_spawn = None
    driver.spawn(instance, make_network_info(1))
    driver.fail_destroy = exception.HypervisorError(action='destroy', reason='told to')
    with pytest.raises(exception.HypervisorError):
        driver.destroy(instance, make_network_info(1))
    assert driver.list_instance_names() == [instance.name]
