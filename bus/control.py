"""Asking and answering: the control endpoints of a namespace, as a NATS micro service and its client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import nats.micro
import structlog
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, ServiceConfig
from pydantic import ValidationError

from bus.connection import Connection
from bus.errors import NoAnswer, RequestRefused, StorageFull
from bus.subjects import Subjects
from messages.control import Done, LeverRequest, RunRequest, RunsReply, SubmitReply, SubmitRequest
from messages.values import Message

_log = structlog.get_logger()
ANSWER_LIMIT = 10.0
FULL = "507"
"""The code of an answer that there is no room to write down what was asked."""
Verb = Callable[[bytes, str], Awaitable[Message]]
"""Answers a body for a principal.

Raises:
    pydantic.ValidationError: the body is not what the verb takes; the asker is told.
"""
R = TypeVar("R", bound=Message)


@asynccontextmanager
async def serve_control(connection: Connection, subjects: Subjects, version: str, verbs: Mapping[str, Verb]) -> AsyncIterator[None]:
    """Answer control requests while the block lasts. Hosts of one namespace share them."""
    async with asyncio.TaskGroup() as tasks:
        service = await nats.micro.add_service(connection.nc, ServiceConfig(name=f"{subjects.namespace}-control", version=version))
        for name, verb in verbs.items():
            config = EndpointConfig(name=name, subject=subjects.control(name, "*"), handler=_endpoint(verb, tasks))
            await service.add_endpoint(config)
        await connection.nc.flush()
        try:
            yield
        finally:
            await _stop(service)


def _endpoint(verb: Verb, tasks: asyncio.TaskGroup) -> Callable[[Request], Awaitable[None]]:
    async def handle(request: Request) -> None:
        tasks.create_task(_answer(verb, request))

    return handle


async def _answer(verb: Verb, request: Request) -> None:
    principal = request.subject.rpartition(".")[2]
    try:
        reply = await verb(request.data, principal)
    except ValidationError as error:
        first = error.errors()[0]
        await request.respond_error("400", f"{'.'.join(str(p) for p in first['loc']) or 'body'}: {first['msg']}")
    except StorageFull as error:
        await request.respond_error(FULL, str(error))
    except (NoAnswer, NatsError) as error:
        await request.respond_error("503", str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - one bad request must not end the service for all
        _log.exception("control.failed", subject=request.subject)
        await request.respond_error("500", f"{type(error).__name__}: {error}")
    else:
        await request.respond(reply.model_dump_json().encode())


async def _stop(service: object) -> None:
    stop = getattr(service, "stop", None)
    if stop is not None:
        try:
            await stop()
        except (NatsError, OSError) as error:
            _log.debug("control.stopped", error=str(error))


class ControlClient:
    """Asks as a principal.

    Every method raises NoAnswer when no host answers, StorageFull when there is no room for what was asked, and RequestRefused
    when that makes no sense.
    """

    def __init__(self, connection: Connection, subjects: Subjects, principal: str) -> None:
        self._connection = connection
        self._subjects = subjects
        self._principal = principal

    async def submit(self, request: SubmitRequest) -> SubmitReply:
        """Run a scenario: the run's id, or every mistake in the document."""
        return await self._ask("submit", request, SubmitReply)

    async def rerun(self, run_id: str) -> SubmitReply:
        """Run again what a run did, everything that was drawn included: the new run's id, or why not."""
        return await self._ask("rerun", _about("rerun", run_id), SubmitReply)

    async def validate(self, request: SubmitRequest) -> SubmitReply:
        """Only check a scenario."""
        return await self._ask("validate", request, SubmitReply)

    async def runs(self, run_id: str | None = None) -> RunsReply:
        """One run, or the newest ones and those from before that are unsettled."""
        verb = "status" if run_id else "list"
        return await self._ask(verb, _about(verb, run_id), RunsReply)

    async def abort(self, run_id: str, message: str = "") -> Done:
        """End a run and undo its faults. The reply says that it was asked for, not that it is done."""
        return await self._ask("abort", _about("abort", run_id, message), Done)

    async def pause(self, run_id: str, note: str = "") -> Done:
        """Let a run stand still, its faults undone. The reply says that it was asked for, not that it is done."""
        return await self._ask("pause", _lever("pause", run_id, note), Done)

    async def resume(self, run_id: str, note: str = "") -> Done:
        """Let a paused run go on."""
        return await self._ask("resume", _lever("resume", run_id, note), Done)

    async def approve(self, run_id: str, note: str = "") -> Done:
        """Let a run that waits at a gate start its phase."""
        return await self._ask("approve", _lever("approve", run_id, note), Done)

    async def reject(self, run_id: str, note: str = "") -> Done:
        """End a run that waits at a gate."""
        return await self._ask("reject", _lever("reject", run_id, note), Done)

    async def resolve(self, run_id: str, fault: str | None = None, note: str = "") -> Done:
        """Take down how what an unsafe run left was put right: one fault, or all. The verdict stays."""
        return await self._ask("resolve", _lever("resolve", run_id, note, fault), Done)

    async def hold(self, note: str = "") -> Done:
        """Let no run start and no fault happen in the namespace, until `release`."""
        return await self._ask("hold", LeverRequest(note=note), Done)

    async def release(self, note: str = "") -> Done:
        """Lift the hold."""
        return await self._ask("release", LeverRequest(note=note), Done)

    async def revert_all(self, note: str = "") -> RunsReply:
        """End every open run and undo its faults. The runs that are asked to end, and those that left something before."""
        return await self._ask("revert-all", LeverRequest(note=note), RunsReply)

    async def _ask(self, verb: str, body: Message, reply: type[R]) -> R:
        subject = self._subjects.control(verb, self._principal)
        try:
            answer = await self._connection.nc.request(subject, body.model_dump_json().encode(), timeout=ANSWER_LIMIT)
        except NoRespondersError as error:
            raise NoAnswer(f"{verb}: no host runs a scheduler for namespace {self._subjects.namespace}") from error
        except (TimeoutError, NatsError) as error:
            raise NoAnswer(verb) from error
        headers = answer.headers or {}
        if "Nats-Service-Error" in headers:
            if headers.get("Nats-Service-Error-Code") == "400":
                raise RequestRefused(verb, headers["Nats-Service-Error"])
            if headers.get("Nats-Service-Error-Code") == FULL:
                raise StorageFull(headers["Nats-Service-Error"])
            raise NoAnswer(f"{verb}: {headers['Nats-Service-Error']}")
        return reply.model_validate_json(answer.data)


def _lever(verb: str, run_id: str, note: str, fault: str | None = None) -> LeverRequest:
    try:
        return LeverRequest(run_id=run_id, note=note, fault=fault)
    except ValidationError as error:
        wrong = (fault, "fault", "fault") if fault is not None and error.errors()[0]["loc"] == ("fault",) else (run_id, "run_id", "run")
        raise RequestRefused(verb, "{!r} cannot be the {} of a {}".format(*wrong)) from error


def _about(verb: str, run_id: str | None, message: str = "") -> RunRequest:
    try:
        return RunRequest(run_id=run_id, message=message)
    except ValidationError as error:
        raise RequestRefused(verb, f"{run_id!r} cannot be the run_id of a run") from error
