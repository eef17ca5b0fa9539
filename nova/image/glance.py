"""Images of Glance, by its REST API version 2 on a keystoneauth session.

API: https://docs.openstack.org/api-ref/image/v2/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
from typing import Any

from keystoneauth1 import adapter, loading
from keystoneauth1 import exceptions as keystone_exceptions
from oslo_config import cfg
from oslo_utils import uuidutils
import requests

from nova import context as nova_context
from nova import exception

CHUNK_BYTES = 1024 * 1024
ACTIVE = 'active'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What Glance says of an image. Sizes are bytes; None is what Glance does not know yet.

    ``hash_algorithm`` is a name that hashlib knows, ``hash_value`` hexadecimal.
    """

    id: str
    name: str | None
    status: str
    disk_format: str | None
    container_format: str | None
    size: int | None
    virtual_size: int | None
    min_disk_gb: int
    min_ram_mb: int
    hash_algorithm: str | None
    hash_value: str | None
    visibility: str | None = None
    owner: str | None = None
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)


#: Fields of Glance's answer that are not properties which somebody gave the image.
_OWN_FIELDS = frozenset(
    ('id', 'name', 'status', 'disk_format', 'container_format', 'size', 'virtual_size')
    + ('min_disk', 'min_ram', 'os_hash_algo', 'os_hash_value', 'os_hidden', 'visibility', 'owner')
    + ('checksum', 'created_at', 'updated_at', 'protected', 'tags', 'self', 'file', 'schema')
    + ('locations', 'direct_url', 'stores')
)


def parse_image(body: Mapping[str, Any]) -> Image:
    """An image from the JSON object that ``GET /v2/images/{id}`` answers."""
    return Image(
        id=body['id'],
        name=body.get('name'),
        status=body['status'],
        disk_format=body.get('disk_format'),
        container_format=body.get('container_format'),
        size=body.get('size'),
        virtual_size=body.get('virtual_size'),
        min_disk_gb=body.get('min_disk') or 0,
        min_ram_mb=body.get('min_ram') or 0,
        hash_algorithm=body.get('os_hash_algo'),
        hash_value=body.get('os_hash_value'),
        visibility=body.get('visibility'),
        owner=body.get('owner'),
        properties={
            key: value
            for key, value in body.items()
            if key not in _OWN_FIELDS and isinstance(value, str)
        },
    )


class ImageClient:
    """Asks Glance, as the user whose token is in the context or else as the service.

    :param glance: an adapter of keystoneauth for the service type ``image``, with the service's
        credentials.
    """

    def __init__(self, glance: adapter.Adapter) -> None:
        self._glance = glance

    def show(self, context: nova_context.RequestContext, image_id: str) -> Image:
        """The image of this id.

        :raises ImageNotFound: there is none, or not for this user.
        :raises ImageDownloadFailed: Glance does not answer as it should.
        """
        with _mapped(image_id):
            response = self._glance.get(_path(image_id), **_identity(context))
            return parse_image(response.json())

    def download(self, context: nova_context.RequestContext, image_id: str) -> Iterator[bytes]:
        """The image's content in pieces of at most ``CHUNK_BYTES``.

        :raises ImageNotFound: there is none, or not for this user; or it has no content.
        :raises ImageDownloadFailed: the content could not be read to its end. It has arrived
            in full only if nothing is raised and its size and hash are as :meth:`show` says.
        """
        with _mapped(image_id):
            response = self._glance.get(
                f'{_path(image_id)}/file',
                stream=True,
                **_identity(context),
            )
            with contextlib.closing(response):
                if response.status_code != requests.codes.ok:
                    raise exception.ImageNotFound(image_id=image_id)
                yield from response.iter_content(CHUNK_BYTES)


def _identity(context: nova_context.RequestContext) -> dict[str, Any]:
    """The arguments that make a request of keystoneauth the user's own. The endpoint is still
    looked up with the service's credentials."""
    if not context.auth_token:
        return {}
    return {'authenticated': False, 'headers': {'X-Auth-Token': context.auth_token}}


def _path(image_id: str) -> str:
    # An image id is a UUID; anything else might lead elsewhere in the URL.
    if not uuidutils.is_uuid_like(image_id):
        raise exception.ImageNotFound(image_id=image_id)
    return f'/v2/images/{image_id}'


@contextlib.contextmanager
def _mapped(image_id: str) -> Iterator[None]:
    try:
        yield
    except (keystone_exceptions.NotFound, keystone_exceptions.Forbidden) as exc:
        raise exception.ImageNotFound(image_id=image_id) from exc
    except (keystone_exceptions.ClientException, requests.RequestException) as exc:
        raise exception.ImageDownloadFailed(image_id=image_id, reason=str(exc)) from exc
    except (KeyError, TypeError, ValueError) as exc:
        reason = f'Glance gave an answer that makes no sense: {exc!r}'
        raise exception.ImageDownloadFailed(image_id=image_id, reason=reason) from exc


def from_conf(conf: cfg.ConfigOpts, group: str = 'glance') -> ImageClient:
    """A client with the session, the credentials and the endpoint of an option group.

    Nothing is sent before the first call.
    """
    options = conf[group]
    return ImageClient(
        adapter.Adapter(
            session=loading.load_session_from_conf_options(conf, group),
            auth=loading.load_auth_from_conf_options(conf, group),
            service_type='image',
            interface=['internal', 'public'],
            region_name=options.region_name,
            endpoint_override=_without_version(options.endpoint_override),
            connect_retries=options.num_retries,
        )
    )


def _without_version(url: str | None) -> str | None:
    """Operators write the endpoint with and without its version."""
    return url.rstrip('/').removesuffix('/v2') if url else None
