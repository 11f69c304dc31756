"""A lease in a bucket is one object, and every step of it a compare-and-swap."""

import json
import threading
import time
from pathlib import Path

import pytest

from model.errors import RequestError
from tasks.store.errors import LeaseLostError
from tasks.store.lease import Lease, is_held, try_lease
from tasks.store.owner import Owner
from tests.bucket_fixtures import Shared
from tests.tasks.store.making import identity_of, make

IDENTITY = identity_of(k=1)


def stranger(shared: Shared, *, beat: int) -> None:
    """A holder on another machine, of which nothing is known."""
    owner = Owner(machine="elsewhere/boot/pid", pid=1, started="1")
    holder = {"owner": owner.model_dump(), "attempt_id": "000004-x", "beat": beat}
    content = json.dumps({"fence": 4, "holder": holder}).encode()
    shared.objects.put(f"leases/vocab/{IDENTITY.input_id}.json", content)


def test_released_it_is_free_and_the_fence_goes_on(shared: Shared) -> None:
    seat = shared.open("one")._lookup.seat("vocab", "x")

    def fence() -> int:
        lease: Lease | None = try_lease(seat, "vocab", "x")
        assert lease
        assert try_lease(seat, "vocab", "x") is None
        lease.release()
        return lease.fence

    assert [fence(), fence(), fence()] == [1, 2, 3]
    assert len(shared.names("leases/")) == 1


def test_of_many_who_claim_the_same_version_one_gets_it(shared: Shared) -> None:
    seat = shared.open("one")._lookup.seat("vocab", "x")
    won = [seat.claim(None, 1, b'{"owner": %d}' % number) for number in range(3)]
    assert [bool(each) for each in won] == [True, False, False]


def test_a_silent_stranger_is_taken_over_and_stops_when_it_wakes(shared: Shared) -> None:
    stranger(shared, beat=0)
    store = shared.open("one")
    beats = threading.Thread(target=lambda: [_beat(shared, beat) for beat in (1, 2)])
    beats.start()
    began_s = time.monotonic()
    with store.lease("vocab", IDENTITY.input_id) as lease:
        waited_s = time.monotonic() - began_s
        beats.join()
        assert waited_s > 0.6, "it beat twice, and then the patience of 0.4 s began"
        assert lease.fence == 5
        assert lease.cut_off
        assert store.is_at_work("vocab")
        stranger(shared, beat=3)  # what it holds is another version by now: it would fail
        with pytest.raises(LeaseLostError, match="vocab"):
            lease.check()
    assert is_held(store._lookup.seat("vocab", IDENTITY.input_id).newest())


def _beat(shared: Shared, beat: int) -> None:
    time.sleep(0.2)
    stranger(shared, beat=beat)


def test_a_dead_process_of_this_machine_is_taken_over_at_once(shared: Shared) -> None:
    key = f"leases/vocab/{IDENTITY.input_id}.json"
    store = shared.open("one")
    with store.lease("vocab", IDENTITY.input_id):
        raw = json.loads(shared.objects.read(key).raw)
    raw["holder"]["owner"]["started"] = "1"
    raw["holder"]["released"] = False
    shared.objects.put(key, json.dumps(raw).encode())
    assert try_lease(store._lookup.seat("vocab", IDENTITY.input_id), "vocab", "x")


def test_a_damaged_lease_is_a_strangers(shared: Shared) -> None:
    shared.objects.put(f"leases/vocab/{IDENTITY.input_id}.json", b"{")
    store = shared.open("one")
    assert store.is_at_work("vocab")
    assert make(store, IDENTITY), "after its patience"


def test_two_machines_make_each_request_once(shared: Shared, tmp_path: Path) -> None:
    stores = [shared.open("one"), shared.open("two")]
    refs: list[str] = []

    def work(number: int) -> None:
        for k in range(3):
            refs.append(make(stores[number], identity_of(k=k)).ref.content_id)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refs) == 6
    assert len(set(refs)) == 1, "all have the same files"
    assert len([key for key in shared.names("artifacts/") if key.endswith("MANIFEST.json")]) == 3


def test_what_one_at_a_time_may_do_is_refused_to_another_machine(shared: Shared) -> None:
    one, other = shared.open("one"), shared.open("other")
    with one.sole_lease("refresh") as lease:
        assert other.is_at_work("refresh")
        said = "refresh: process .* is at it already"
        with pytest.raises(RequestError, match=said), other.sole_lease("refresh"):
            pass
    with other.sole_lease("refresh") as later:
        assert later.fence == lease.fence + 1
