"""What a gRPC server says of its own methods and messages, by reflection."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

VERSIONS = ("v1", "v1alpha")
"""Of the reflection service, newest first. Their messages are the same but for the package."""
MOST_FILES, MOST_ROUNDS = 200, 20
"""Descriptor files that are read for a method, and how often is asked for what they import."""
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
"""The server is not there, or not in time: that says something of it."""
NAMED = 12
"""Services or methods that are named where another is wanted."""


class CannotBeAsked(Exception):
    """The server says nothing by which the method could be called. Final until the server is another; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Method:
    """A unary method, and the descriptors of its messages."""

    descriptor: MethodDescriptor
    pool: DescriptorPool

    @property
    def path(self) -> str:
        """Where it is called."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"


async def method_of(channel: grpc.aio.Channel, name: str, ends: float) -> Method:
    """The unary method `package.Service/Method` of the server, by its own words; asked until `ends` (monotonic seconds).

    Raises:
        CannotBeAsked: there is no such method, it streams, or reflection is not served.
        grpc.aio.AioRpcError: the server cannot be reached, or answers too late.
    """
    service, _, method = name.partition("/")
    reflection = _Reflection(channel, ends)
    pool = await reflection.pool_with(service)
    try:
        found = pool.FindServiceByName(service)
    except KeyError:
        raise CannotBeAsked(f"{service} is no service, but something else") from None
    descriptor = found.methods_by_name.get(method)
    if descriptor is None:
        raise CannotBeAsked(f"{service} has no method {method!r}; {_known(found.methods_by_name)}")
    if descriptor.client_streaming or descriptor.server_streaming:
        raise CannotBeAsked(f"{name} is a stream; take a unary method, one request and one answer")
    return Method(descriptor, pool)


class _Reflection:
    """One conversation with the reflection of a server."""

    def __init__(self, channel: grpc.aio.Channel, ends: float) -> None:
        self._channel = channel
        self._ends = ends
        self._version: str | None = None

    async def pool_with(self, service: str) -> DescriptorPool:
        """The descriptors of the file that has the service, and of all that it imports."""
        answer = await self._ask(ServerReflectionRequest(file_containing_symbol=service))
        if answer.HasField("error_response"):
            raise CannotBeAsked(f"the server has no service {service!r}; {_known(await self._services())}")
        files = dict(_files(answer))
        for _ in range(MOST_ROUNDS):
            wanted = {needed for file in files.values() for needed in file.dependency} - files.keys()
            if not wanted or len(files) > MOST_FILES:
                break
            for needed in sorted(wanted):
                files.update(_files(await self._ask(ServerReflectionRequest(file_by_filename=needed))))
        try:
            return _pooled(files)
        except (TypeError, ValueError, KeyError) as error:
            raise CannotBeAsked(f"the server's reflection does not tell all of {service}: {error}") from error

    async def _services(self) -> list[str]:
        answer = await self._ask(ServerReflectionRequest(list_services=""))
        return [service.name for service in answer.list_services_response.service if not service.name.startswith("grpc.reflection.")]

    async def _ask(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        """The answer. The stream is over with it: an open one would keep the server from stopping."""
        for version in VERSIONS if self._version is None else (self._version,):
            # One request and the end of the stream go out at once: where they went one by one, a server that refuses the stream would
            # be met by a write that fails, and gRPC tells either of the two.
            stub = self._channel.unary_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=ServerReflectionRequest.SerializeToString,
                response_deserializer=ServerReflectionResponse.FromString,
            )
            try:
                found = [answer async for answer in stub(request, timeout=max(0.0, self._ends - time.monotonic()))]
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    continue
                if error.code() in _AWAY:
                    raise
                raise CannotBeAsked(f"the server's reflection answers {error.code().name}: {error.details()}") from error
            if len(found) != 1:
                raise CannotBeAsked(f"the server's reflection gives {len(found)} answers to one question")
            self._version = version
            return found[0]
        raise CannotBeAsked("the server does not serve reflection; let it, or ask it over HTTP")


def _files(answer: ServerReflectionResponse) -> Iterator[tuple[str, FileDescriptorProto]]:
    for written in answer.file_descriptor_response.file_descriptor_proto:
        try:
            file = FileDescriptorProto.FromString(written)
        except DecodeError as error:
            raise CannotBeAsked("what the server's reflection answers cannot be read") from error
        yield file.name, file


def _pooled(files: dict[str, FileDescriptorProto]) -> DescriptorPool:
    """A pool of these files. Each is added after what it imports."""
    pool, left = DescriptorPool(), dict(files)
    while left:
        ready = [name for name, file in left.items() if not left.keys() & set(file.dependency)]
        if not ready:
            raise ValueError(f"files import each other in a circle: {', '.join(sorted(left)[:NAMED])}")
        for name in ready:
            pool.Add(left.pop(name))
    return pool


def _known(names: Iterable[Any]) -> str:
    known = sorted(map(str, names))
    return f"it has {', '.join(known[:NAMED])}{' …' if len(known) > NAMED else ''}" if known else "it has none"
