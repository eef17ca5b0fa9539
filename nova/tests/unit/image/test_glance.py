from __future__ import annotations

from collections.abc import Callable, Iterator
import io
import json
from typing import Any

from keystoneauth1 import adapter, session, token_endpoint
import pytest
import requests
from requests import adapters

from nova import context as nova_context
from nova import exception
from nova.image import glance

IMAGE = 'c1b5a7f2-0d53-4f0e-8d6f-5a1b2c3d4e5f'
BODY = {
    'id': IMAGE,
    'name': 'cirros',
    'status': 'active',
    'disk_format': 'qcow2',
    'container_format': 'bare',
    'size': 1234,
    'virtual_size': None,
    'min_disk': 1,
    'min_ram': 64,
    'os_hash_algo': 'sha512',
    'os_hash_value': 'ab',
    'visibility': 'public',
    'owner': 'p1',
    'checksum': 'cd',
    'tags': [],
    'schema': '/v2/schemas/image',
    'hw_disk_bus': 'virtio',
}

Answer = Callable[[requests.PreparedRequest], tuple[int, bytes]]


class Wire(adapters.BaseAdapter):
    """Answers every request by a function; keeps what was asked."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer
        self.requests: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        self.requests.append(request)
        response = requests.Response()
        response.status_code, content = self._answer(request)
        response.raw = io.BytesIO(content)
        response.url, response.request = str(request.url), request
        return response

    def close(self) -> None:
        return


def build(answer: Answer) -> tuple[glance.ImageClient, Wire]:
    wire = Wire(answer)
    http = requests.Session()
    http.mount('http://', wire)
    auth = token_endpoint.Token('http://glance:9292', 'service-token')
    made = adapter.Adapter(session.Session(auth=auth, session=http), service_type='image')
    return glance.ImageClient(made), wire


def service() -> nova_context.RequestContext:
    return nova_context.service_context()


def user() -> nova_context.RequestContext:
    return nova_context.RequestContext(auth_token='user-token', overwrite=False)


def test_an_image() -> None:
    client, wire = build(lambda _request: (200, json.dumps(BODY).encode()))
    assert client.show(service(), IMAGE) == glance.Image(
        id=IMAGE,
        name='cirros',
        status='active',
        disk_format='qcow2',
        container_format='bare',
        size=1234,
        virtual_size=None,
        min_disk_gb=1,
        min_ram_mb=64,
        hash_algorithm='sha512',
        hash_value='ab',
        visibility='public',
        owner='p1',
        properties={'hw_disk_bus': 'virtio'},
    )
    assert wire.requests[0].url == f'http://glance:9292/v2/images/{IMAGE}'


@pytest.mark.parametrize(
    ('make_context', 'token'), [(service, 'service-token'), (user, 'user-token')]
)
def test_whose_token_is_used(
    make_context: Callable[[], nova_context.RequestContext], token: str
) -> None:
    client, wire = build(lambda _request: (200, json.dumps(BODY).encode()))
    client.show(make_context(), IMAGE)
    b''.join(client.download(make_context(), IMAGE))
    assert [request.headers['X-Auth-Token'] for request in wire.requests] == [token, token]


def test_the_content() -> None:
    content = bytes(range(256)) * 10_000
    client, wire = build(lambda _request: (200, content))
    pieces = list(client.download(service(), IMAGE))
    assert b''.join(pieces) == content
    assert max(map(len, pieces)) <= glance.CHUNK_BYTES
    assert wire.requests[0].url == f'http://glance:9292/v2/images/{IMAGE}/file'


@pytest.mark.parametrize('status', [403, 404])
def test_an_image_that_is_not_there(status: int) -> None:
    client, _ = build(lambda _request: (status, b'{}'))
    with pytest.raises(exception.ImageNotFound):
        client.show(user(), IMAGE)
    with pytest.raises(exception.ImageNotFound):
        list(client.download(service(), IMAGE))


def test_an_image_without_content() -> None:
    client, _ = build(lambda _request: (204, b''))
    with pytest.raises(exception.ImageNotFound):
        list(client.download(service(), IMAGE))


@pytest.mark.parametrize('name', ['', '..', '../../v3/users', 'cirros', f'{IMAGE}?x=1', 'a/b'])
def test_an_id_is_a_uuid(name: str) -> None:
    client, wire = build(lambda _request: (200, b'{}'))
    with pytest.raises(exception.ImageNotFound):
        client.show(user(), name)
    assert wire.requests == []


@pytest.mark.parametrize(
    'answer',
    [(500, b'{}'), (503, b''), (200, b'no json'), (200, b'[]'), (200, b'{"id": "x"}')],
)
def test_a_glance_that_does_not_answer_right(answer: tuple[int, bytes]) -> None:
    client, _ = build(lambda _request: answer)
    with pytest.raises(exception.ImageDownloadFailed) as caught:
        client.show(service(), IMAGE)
    assert not caught.value.safe


def test_a_connection_that_breaks() -> None:
    class Broken(io.BytesIO):
        def stream(self, _size: int, **_: Any) -> Iterator[bytes]:
            yield b'begin'
            raise requests.exceptions.ChunkedEncodingError('connection broken')

    client, wire = build(lambda _request: (200, b''))
    send = wire.send

    def send_broken(request: requests.PreparedRequest, **_: Any) -> requests.Response:
        response = send(request)
        response.raw = Broken()
        return response

    wire.send = send_broken  # type: ignore[method-assign]
    pieces = client.download(service(), IMAGE)
    assert next(pieces) == b'begin'
    with pytest.raises(exception.ImageDownloadFailed, match='broken'):
        next(pieces)


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        (None, None),
        ('http://glance:9292', 'http://glance:9292'),
        ('http://glance:9292/', 'http://glance:9292'),
        ('http://glance/image/v2', 'http://glance/image'),
        ('http://glance/image/v2/', 'http://glance/image'),
    ],
)
def test_the_endpoint_of_the_options(url: str | None, expected: str | None) -> None:
    assert glance._without_version(url) == expected
