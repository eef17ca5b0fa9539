from __future__ import annotations

from pathlib import Path

import pytest

from nova.virt.libvirt import kvmprobe


def test_the_boot_sector_is_one() -> None:
    sector = kvmprobe.build_boot_sector()
    assert len(sector) == 512
    assert sector[-2:] == b'\x55\xaa'
    # lgdt reads the table's size and place from 0x7cb8: three segments at 0x7ca0.
    assert sector[0xB8:0xBE] == bytes.fromhex('1700a07c0000')


def test_no_device_is_a_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvmprobe, 'DEVICE', str(tmp_path / 'kvm'))
    assert not kvmprobe.is_kvm_usable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_is_kept_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[Path] = []
    device = tmp_path / 'kvm'
    device.touch()

    def probe(folder: Path) -> bool:
        probes.append(folder)
        return True

    monkeypatch.setattr(kvmprobe, 'DEVICE', str(device))
    monkeypatch.setattr(kvmprobe, 'launch_probe', probe)
    assert kvmprobe.is_kvm_usable(tmp_path)
    assert kvmprobe.is_kvm_usable(tmp_path)
    assert len(probes) == 1
    for text in ('', 'no json', '[]', '{"key": "another boot", "usable": false}'):
        (tmp_path / 'cache' / 'kvm-probe.json').write_text(text)
        assert kvmprobe.is_kvm_usable(tmp_path)
    assert len(probes) == 5
