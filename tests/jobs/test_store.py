"""The record: states, order, and one winner where several want the same."""

import itertools
import subprocess
import sys

import pytest

from denoisers.jobs import JobError, WrongState
from denoisers.jobs.store import ACTIVE, TRANSITIONS, UNFINISHED, Store

PATHS = {  # how a fresh job gets into each state
    "queued": [],
    "running": ["running"],
    "pausing": ["running", "pausing"],
    "paused": ["paused"],
    "cancelling": ["running", "cancelling"],
    "failed": ["failed"],
    "cancelled": ["cancelled"],
    "done": ["running", "done"],
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "jobs.sqlite")


def add(store, name, **facts):
    facts = {"kind": "count", "title": name, "spec": {"steps": 3}, "executor": "local", "owner": ""} | facts
    return store.add(name, **facts)


@pytest.mark.parametrize(("start", "to"), list(itertools.product(TRANSITIONS, TRANSITIONS)))
def test_exactly_the_transitions_of_the_table(store, start, to):
    add(store, "a")
    for state in PATHS[start]:
        store.move("a", state)
    if to in TRANSITIONS[start]:
        assert store.move("a", to, reason="so").state == to
        assert Store(store.db.execute("PRAGMA database_list").fetchone()[2]).get("a").reason == "so"
    else:
        with pytest.raises(WrongState, match=f"is {start}"):
            store.move("a", to, reason="so")
        assert store.get("a").state == start and store.get("a").reason == ""


def test_every_state_is_named_once():
    assert set(PATHS) == set(TRANSITIONS) == set(UNFINISHED) | {"failed", "cancelled", "done"}
    assert all(targets <= set(TRANSITIONS) for targets in TRANSITIONS.values())
    assert set(ACTIVE) == {state for state, to in TRANSITIONS.items() if state != "queued" and to & {"done"}}


def test_a_change_under_ones_hands_is_noticed(store):
    add(store, "a")
    store.move("a", "running")
    store.move("a", "pausing")
    with pytest.raises(WrongState):
        store.move("a", "failed", expected="running")


def test_the_queue_runs_by_priority_then_place(store):
    for name, priority in (("a", 0), ("b", 1), ("c", 0), ("d", 1)):
        add(store, name, priority=priority)
    assert [job.id for job in store.list("queued")] == ["b", "d", "a", "c"]


@pytest.mark.parametrize("place", range(-1, 6))
@pytest.mark.parametrize("name", "abcd")
def test_a_job_is_put_anywhere_whatever_its_priority(store, name, place):
    for other, priority in (("a", 2), ("b", 1), ("c", 1), ("d", 0)):
        add(store, other, priority=priority)
    store.reorder(name, place)
    wanted = [other for other in "abcd" if other != name]
    wanted.insert(max(place, 0), name)
    assert [job.id for job in store.list("queued")] == wanted
    priorities = [job.priority for job in store.list("queued")]
    assert priorities == sorted(priorities, reverse=True)


def test_an_owner_moves_own_jobs_among_own_places(store):
    for name in ("mine 1", "yours", "mine 2", "mine 3"):
        add(store, name, owner=name.split()[0])
    store.reorder("mine 3", 0, owner="mine")
    assert [job.id for job in store.list("queued")] == ["mine 3", "yours", "mine 1", "mine 2"]


def test_only_a_queued_job_has_a_place(store):
    add(store, "a")
    store.move("a", "running")
    with pytest.raises(WrongState):
        store.reorder("a", 0)


def test_deleting(store):
    add(store, "a")
    store.move("a", "running")
    with pytest.raises(WrongState, match="cancel it first"):
        store.delete("a")
    store.move("a", "done")
    store.delete("a")
    with pytest.raises(JobError, match="no job a"):
        store.get("a")


def test_processes_that_want_the_same_jobs_get_each_once(tmp_path, store):
    for i in range(30):
        add(store, str(i))
    code = f"""
from denoisers.jobs.store import Store, WrongState
store, mine = Store({str(tmp_path / "jobs.sqlite")!r}), []
for i in range(30):
    try:
        store.move(str(i), "running", expected="queued")
        mine.append(i)
    except WrongState:
        pass
print(*mine)
"""
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    won = [int(word) for child in children for word in child.communicate()[0].split()]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert sorted(won) == list(range(30))
