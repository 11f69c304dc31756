"""One stage's run in another work pool: sent, followed to its end, sent again if its worker dies.

What is sent bears tags that say which artifact it makes and which run has sent it, so that a
pipeline whose own worker died finds, in its next try, what its first try has sent.
"""

import contextlib
import datetime
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    WorkerFilter,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run
from prefect.states import Cancelling, Crashed, Scheduled

from flows.config import INLINE, WorkersConfig
from flows.pulse import Pulse
from model.errors import CorpusmithError

POLL_S = 2.0
OUTAGE_S = 600.0  # how long Prefect's API may be away while a stage runs
NUM_TRIES = 4  # as many as the automations give a pipeline
AWAY = (httpx.HTTPError, PrefectException)  # no answer from the API, or none that helps
_SENDER = "sent-by-"
UNDER_WAY = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


@dataclass(frozen=True)
class Errand:
    """What is to be done elsewhere.

    Attributes:
        stage: the flow that does it.
        request: the artifact it makes, by its input id.
        parameters: of the flow, JSON values.
        workers: which pool, and how long to wait until one of its workers has begun.
        tags: that its run is to bear.
        warn: told when it is sent again.
    """

    stage: str
    request: str
    parameters: Mapping[str, Any]
    workers: WorkersConfig
    tags: frozenset[str]
    warn: Callable[[str], None]

    @property
    def deployment(self) -> str:
        """The deployment that takes it."""
        return f"{self.stage}/{self.workers.gpu_stages}"


def run_errand(errand: Errand) -> State:
    """The state in which it ends: that of the last try where workers died.

    What ends this process in any way that it can notice (an error, SIGTERM, Prefect's
    cancellation) cancels the errand, even if it was being sent at that moment.

    Raises:
        CorpusmithError: no worker began in time.
    """
    for number in range(1, NUM_TRIES + 1):
        state = _try_once(errand, may_adopt=number == 1)
        if not state.is_crashed() or number == NUM_TRIES:
            break
        why = (state.message or "its worker died").split("\n", 1)[0]
        errand.warn(f"{errand.stage}: crashed in the pool, sent again ({number}): {why}")
    return state


def _try_once(errand: Errand, *, may_adopt: bool) -> State:
    key = str(uuid.uuid4())  # known before it is sent, so that it can be found in any case
    run_id: UUID | None = None
    try:
        with get_client(sync_client=True) as client:
            run_id = _left_behind(client, errand) if may_adopt else None
            run_id = run_id or _send(errand, key)
            return _wait(client, run_id, errand)
    except BaseException:
        # All of them, and they go on: SIGTERM, Ctrl-C and Prefect's cancellation are no Exception.
        # A new client: the old one may have been interrupted in the middle of a request. Where the
        # API is away too, the stage goes on, and the next run finds in the workspace what it made.
        with contextlib.suppress(*AWAY), get_client(sync_client=True) as client:
            _cancel(client, errand, key, run_id)
        raise


def _send(errand: Errand, key: str) -> UUID:
    sent = run_deployment(
        errand.deployment,
        parameters=dict(errand.parameters),
        tags=_tags(errand),
        timeout=0,
        idempotency_key=key,
    )
    return cast(FlowRun, sent).id  # of its two forms, the one for code that is not asynchronous


def _tags(errand: Errand) -> set[str]:
    sender = {f"{_SENDER}{flow_run.id}"} if flow_run.id else set()
    return {*errand.tags, errand.request, *sender}


def _left_behind(client: SyncPrefectClient, errand: Errand) -> UUID | None:
    """The run for the same artifact that a pipeline has sent which is no more."""
    same = FlowRunFilter(
        tags=FlowRunFilterTags(all_=["corpusmith", errand.request]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY)),
    )
    for run in client.read_flow_runs(flow_run_filter=same):
        senders = [tag.removeprefix(_SENDER) for tag in run.tags if tag.startswith(_SENDER)]
        if any(_is_over(client, sender) for sender in senders):
            return run.id
    return None


def _is_over(client: SyncPrefectClient, run_id: str) -> bool:
    try:
        state = client.read_flow_run(UUID(run_id)).state
    except (ObjectNotFound, ValueError):
        return True
    return state is not None and state.is_final()


def _cancel(client: SyncPrefectClient, errand: Errand, key: str, run_id: UUID | None) -> None:
    own = flow_run.id
    if own and _is_over(client, own):
        return  # we were given up for dead: whoever does our work now may be waiting for it
    if run_id is None:
        # Whether the request to send it got through is not known. This one has the same key, so it
        # names that run; if there is none it makes one, which no worker takes before tomorrow.
        tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
        deployment = client.read_deployment_by_name(errand.deployment)
        run_id = client.create_flow_run_from_deployment(
            deployment.id,
            parameters=dict(errand.parameters),
            tags=_tags(errand),
            state=Scheduled(scheduled_time=tomorrow),
            idempotency_key=key,
        ).id
    client.set_flow_run_state(run_id, Cancelling())


def _wait(client: SyncPrefectClient, run_id: UUID, errand: Errand) -> State:
    """The state it ends in."""
    sent_s = heard_s = time.monotonic()
    has_begun = False
    pulse = Pulse(client, run_id)
    while True:
        try:
            state = client.read_flow_run(run_id).state
            heard_s = time.monotonic()
        except httpx.HTTPError:
            if time.monotonic() - heard_s > OUTAGE_S:
                raise
            time.sleep(POLL_S)
            continue
        assert state is not None, "a run that was sent has a state"
        if state.is_final():
            return state
        has_begun = has_begun or state.is_running()
        if not has_begun and heard_s - sent_s > errand.workers.deadline_s:
            raise CorpusmithError(_nobody_began(client, state, errand))
        if state.is_running() and pulse.is_lost():
            with contextlib.suppress(*AWAY):
                client.set_flow_run_state(run_id, Crashed(message="its heartbeats have ended"))
        time.sleep(POLL_S)


def _nobody_began(client: SyncPrefectClient, state: State, errand: Errand) -> str:
    pool, deadline_s = errand.workers.gpu_stages, errand.workers.deadline_s
    online = client.read_workers_for_work_pool(pool, WorkerFilter(status={"any_": ["ONLINE"]}))
    return (
        f"{errand.stage}: no worker of the pool {pool} took it within {deadline_s:g} s "
        f"({len(online)} online, its run is {state.name}): start one with `prefect worker start "
        f"--pool {pool}`, raise workers.deadline_s, or set workers.gpu_stages to {INLINE}"
    )
