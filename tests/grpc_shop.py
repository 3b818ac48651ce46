"""A gRPC server for tests, whose messages exist nowhere else in this process: who asks it must ask its reflection first."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

T = descriptor_pb2.FieldDescriptorProto
FIELDS = (("item", T.TYPE_STRING), ("left", T.TYPE_INT32), ("sold", T.TYPE_INT64), ("ratio", T.TYPE_DOUBLE))


def stock_file(names: Iterable[tuple[str, Any]] = FIELDS) -> descriptor_pb2.FileDescriptorProto:
    """`shop.Stock` with a unary Count and a streaming Watch; it imports the wrappers."""
    file = descriptor_pb2.FileDescriptorProto(name="shop/stock.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for name in ("Question", "Answer"):
        kind = file.message_type.add(name=name)
        for number, (field, type_) in enumerate(names, 1):
            kind.field.add(name=field, number=number, type=type_, label=T.LABEL_OPTIONAL)
        kind.field.add(name="unit_price", number=20, type=T.TYPE_MESSAGE, type_name=".google.protobuf.DoubleValue", label=T.LABEL_OPTIONAL)
    service = file.service.add(name="Stock")
    service.method.add(name="Count", input_type=".shop.Question", output_type=".shop.Answer")
    service.method.add(name="Watch", input_type=".shop.Question", output_type=".shop.Answer", server_streaming=True)
    return file


class Shop:
    """A server of `shop.Stock`, whose messages exist nowhere else in this process."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto | None = None) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        self.pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
        self.pool.Add(file or stock_file())
        self.question = message_factory.GetMessageClass(self.pool.FindMessageTypeByName("shop.Question"))
        self.reply = message_factory.GetMessageClass(self.pool.FindMessageTypeByName("shop.Answer"))
        self.answer: dict[str, Any] = {"item": "tea", "left": 3, "sold": 5_000_000_000}
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.hold = False
        self.raw = b""
        """What is sent instead of the answer."""
        self.asked: list[Any] = []
        self.reflected = 0
        """How often what messages are made of was asked for."""

    async def count(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        if self.hold:
            await asyncio.sleep(30)
        await context.send_initial_metadata((("x-shelf", "7"),))
        context.set_trailing_metadata((("x-shelf", "8"), ("x-raw-bin", b"\x01\xff")))
        if self.status is not None:
            await context.abort(*self.status)
        return self.reply(**self.answer)

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        count = grpc.unary_unary_rpc_method_handler(
            self.count, self.question.FromString, lambda reply: self.raw or reply.SerializeToString()
        )
        return grpc.method_handlers_generic_handler("shop.Stock", {"Count": count})


class Mirror(reflection.aio.ReflectionServicer):  # type: ignore[misc, name-defined]
    """Reflection that counts how often it is asked; `whole`: it sends what a file imports along."""

    def __init__(self, shop: Shop, *, whole: bool = True) -> None:
        super().__init__(("shop.Stock", "grpc.health.v1.Health", reflection.SERVICE_NAME), pool=shop.pool)
        self._shop = shop
        self._whole = whole

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        self._shop.reflected += 1
        return self._one(super()._file_containing_symbol(request, fully_qualified_name))

    def _file_by_filename(self, request: Any, filename: str) -> Any:
        return self._one(super()._file_by_filename(request, filename))

    def _one(self, answer: Any) -> Any:
        if not self._whole:
            del answer.file_descriptor_response.file_descriptor_proto[1:]
        return answer


def mirrored(shop: Shop, *, whole: bool = True, version: str = "v1alpha") -> "grpc.GenericRpcHandler[Any, Any]":
    kind = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    servicer = Mirror(shop, whole=whole)
    info = grpc.stream_stream_rpc_method_handler(servicer.ServerReflectionInfo, kind[0].FromString, kind[1].SerializeToString)
    return grpc.method_handlers_generic_handler(f"grpc.reflection.{version}.ServerReflection", {"ServerReflectionInfo": info})


@asynccontextmanager
async def serving(*handlers: "grpc.GenericRpcHandler[Any, Any]", port: int = 0) -> AsyncIterator[str]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(handlers)
    taken = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{taken}"
    finally:
        await server.stop(None)
