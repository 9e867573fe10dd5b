"""Sessions are kept by limits and time."""

from __future__ import annotations

import pytest
from measured_scenes import ramp

from calipers.errors import UsageError
from calipers.tools import Session, ToolError
from calipers.tools.store import Limits, Store

RAMP = Session.of_frame(ramp())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def code(store: Store, owner: str) -> str:
    with pytest.raises(ToolError) as caught:
        store.add(RAMP, owner)
    return caught.value.code


def test_limits_a_client_and_all() -> None:
    store = Store(Limits(sessions=3, sessions_a_client=2))
    for _ in range(2):
        store.add(RAMP, "a")
    assert code(store, "a") == "too_many_sessions"
    store.add(RAMP, "b")
    assert code(store, "b") == "full"
    assert len(store) == 3


def test_limits_pixels_of_all_together() -> None:
    store = Store(Limits(all_pixels=2 * 128 * 64))
    names = [store.add(RAMP, "a") for _ in range(2)]
    assert code(store, "a") == "full"
    store.drop(names[0])
    assert store.add(RAMP, "a") not in names


def test_idle_sessions_are_closed_and_used_ones_stay() -> None:
    clock = Clock()
    store = Store(Limits(idle_s=10), clock)
    used, idle = store.add(RAMP, "a"), store.add(RAMP, "a")
    clock.now = 9
    assert store.get(used) is RAMP
    clock.now = 11
    assert len(store) == 1
    with pytest.raises(ToolError, match="no such session"):
        store.get(idle)
    clock.now = 20
    assert len(store) == 0


def test_names_cannot_be_guessed() -> None:
    store = Store(Limits())
    names = {store.add(RAMP, str(k)) for k in range(100)}
    assert len(names) == 100
    assert {len(name) for name in names} == {22}


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="pixels: wanted more than 0"):
        Limits(pixels=0)
