"""The stream of questions: shards, epochs, resuming, and real DataLoaders."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import calipers
from calipers.errors import UsageError
from calipers.io.scenes import scenes_table, write_scenes
from calipers.stream import QuestionStream, epoch_seed, scene_units
from questions.hand_scenes import TABLE, five, scene_of

QUESTIONS = 7
SAME_RUN = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write_parts(folder: Path, parts: list[int], row_group: int | None = None) -> Path:
    """Files of so many scenes each, named s000, s001, …"""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for k, count in enumerate(parts):
        boxes = five() if k % 2 else TABLE
        scenes = [scene_of(boxes, name=f"s{number + i:03d}") for i in range(count)]
        number += count
        table = scenes_table(scenes)
        with (folder / f"part-{k:05d}.parquet").open("wb") as sink:
            if row_group is None:
                write_scenes(table, sink)
            else:
                import pyarrow.parquet as pq

                pq.write_table(table, sink, row_group_size=row_group)
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 scenes in 4 units: readers share all units by rows."""
    return write_parts(tmp_path_factory.mktemp("few") / "scenes", [3, 33, 1, 3])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """144 scenes in 72 units of 2: 5 readers get 14 units each and share the other 2."""
    return write_parts(tmp_path_factory.mktemp("many") / "scenes", [144], row_group=2)


def stream(source: Path, **options: Any) -> QuestionStream:
    return QuestionStream(source, **({"questions_per_scene": QUESTIONS, "buffer": 50} | options))


def ids(samples: Any) -> list[str]:
    return [sample["id"] for sample in samples]


def test_an_epoch_is_what_ask_gives_for_each_scene(few: Path) -> None:
    fields = ("id", "question", "answer", "label", "value", "seed")
    found = {sample["id"]: sample for sample in stream(few, seed=5, fields=fields)}
    asked = [q for s in calipers.read_scenes(few) for q in calipers.ask(s, QUESTIONS, seed=5)]
    assert len(asked) == 40 * QUESTIONS
    assert found == {q.id: {name: getattr(q, name) for name in fields} for q in asked}


def test_a_sample_has_five_texts_unless_others_are_asked_for(few: Path) -> None:
    sample = next(iter(stream(few)))
    assert list(sample) == ["id", "image", "type", "question", "answer"]
    assert all(isinstance(text, str) for text in sample.values())
    assert list(next(iter(stream(few, fields=["label", "value"])))) == ["label", "value"]


def test_without_shuffling_the_order_is_that_of_the_files(few: Path) -> None:
    wanted = [f"s{scene:03d}#{k}" for scene in range(40) for k in range(QUESTIONS)]
    assert ids(stream(few, shuffle=False)) == wanted


def test_shuffling_mixes_units_and_scenes(many: Path) -> None:
    order = ids(stream(many, buffer=10_000))
    scenes = [name.split("#")[0] for name in order]
    assert sorted(order) == sorted(ids(stream(many, shuffle=False)))
    assert sum(a == b for a, b in pairwise(scenes)) < 30  # 144 x 6 = 864 in file order
    assert len(set(scenes[:100])) > 50


@pytest.mark.parametrize("readers", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("source", ["few", "many"])
def test_ranks_share_an_epoch_without_overlap_or_loss(
    source: str, readers: int, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(source)
    shares = [ids(stream(folder, rank=k, world_size=readers)) for k in range(readers)]
    together = Counter(name for share in shares for name in share)
    assert set(together.values()) == {1}
    assert set(together) == set(ids(stream(folder)))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 4 * QUESTIONS  # one unit of 2, or a row of each of 4 units


def test_questions_of_a_scene_stay_together_in_one_rank(few: Path) -> None:
    owners: dict[str, set[int]] = {}
    for rank in range(3):
        for name in ids(stream(few, rank=rank, world_size=3)):
            owners.setdefault(name.split("#")[0], set()).add(rank)
    assert all(len(ranks) == 1 for ranks in owners.values())


def test_epochs_differ_in_questions_and_order_and_repeat_exactly(few: Path) -> None:
    one = stream(few, seed=3)
    first, again = list(one), list(one)
    one.set_epoch(1)
    second = list(one)
    assert first == again
    assert Counter(ids(second)) == Counter(ids(first))
    assert ids(second) != ids(first)
    texts = {s["question"] for s in first}, {s["question"] for s in second}
    assert len(texts[0] & texts[1]) < 0.7 * len(texts[0])
    assert list(stream(few, seed=3, epoch=1)) == second


def test_the_seed_of_an_epoch_asks_its_questions_again(few: Path) -> None:
    sample = next(iter(stream(few, seed=3, epoch=4, fields=("id", "seed", "question"))))
    assert sample["seed"] == epoch_seed(3, 4)
    scene = next(s for s in calipers.read_scenes(few) if sample["id"].startswith(s.id + "#"))
    asked = {q.id: q.question for q in calipers.ask(scene, QUESTIONS, seed=sample["seed"])}
    assert asked[sample["id"]] == sample["question"]


@SAME_RUN
@given(data=st.data())
def test_resuming_anywhere_equals_going_on(few: Path, many: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([few, many]))
    readers = data.draw(st.integers(1, 3))
    options = {
        "rank": data.draw(st.integers(0, readers - 1)),
        "world_size": readers,
        "shuffle": data.draw(st.booleans()),
        "buffer": data.draw(st.sampled_from([20, 50, 400])),
    }
    whole = list(stream(source, epoch=2, **options))
    stop = data.draw(st.integers(0, len(whole)))
    interrupted = stream(source, epoch=2, **options)
    samples = list(islice(interrupted, stop))
    state = pickle.loads(pickle.dumps(interrupted.state_dict()))
    resumed = stream(source, **options)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert samples + list(resumed) == whole
    assert list(resumed) == whole  # the next iteration is the whole epoch again


def test_a_state_of_another_stream_is_refused(few: Path) -> None:
    state = stream(few).state_dict()
    with pytest.raises(UsageError, match=r"reader \[0, 1\], now \[1, 2\]"):
        stream(few, rank=1, world_size=2).load_state_dict(state)
    with pytest.raises(UsageError, match="options"):
        stream(few, seed=1).load_state_dict(state)


def test_types_mix_and_keep_choose_questions(few: Path) -> None:
    chosen = stream(few, types=["distance", "left_choice"], mix=0.0)
    assert {sample["type"] for sample in chosen} == {"distance"}

    def yes(table: Any) -> Any:
        return [label == "yes" for label in table.column("label").to_pylist()]

    kept = list(stream(few, keep=yes, fields=("label",)))
    assert kept
    assert {sample["label"] for sample in kept} == {"yes"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": ("id", "colour")}, "there is no colour"),
        ({"rank": 2, "world_size": 2}, "rank < world_size"),
        ({"rank": 1}, "rank < world_size"),
        ({"epoch": -1}, "epoch: wanted at least 0"),
        ({"seed": -1}, "seed: wanted at least 0"),
        ({"buffer": 0}, "buffer: wanted at least 1"),
        ({"questions_per_scene": 0}, "questions_per_scene: wanted at least 1"),
        ({"types": ["lefty"]}, "unknown question type"),
        ({"types": "distance"}, "types: wanted a list of names, got the string 'distance'"),
        ({"mix": 2.0}, "mix: wanted a share"),
    ],
)
def test_options_out_of_range_are_refused(few: Path, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stream(few, **options)


def test_places_that_hold_no_scenes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no scenes found"):
        stream(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"no Parquet")
    with pytest.raises(UsageError, match="not a readable Parquet file"):
        stream(tmp_path)


def test_with_very_many_files_no_footer_is_read(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calipers.stream.MOST_FOOTERS", 3)
    assert [unit.row_group for unit in scene_units(sorted(few.glob("*")))] == [None] * 4
    shares = [ids(stream(few, rank=k, world_size=3)) for k in range(3)]
    assert len({name for share in shares for name in share}) == 40 * QUESTIONS
    assert sum(map(len, shares)) == 40 * QUESTIONS


def test_a_plain_stream_never_loads_torch(few: Path) -> None:
    code = f"import calipers, sys; print(len(list(calipers.QuestionStream({str(few)!r}))), "
    code += "'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["800", "False"]


class TestInTorch:
    """The same in a DataLoader with real workers."""

    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        self.data = pytest.importorskip("torch.utils.data")

    def load(self, dataset: Any, **options: Any) -> list[str]:
        loader = self.data.DataLoader(dataset, batch_size=8, **options)
        return [name for batch in loader for name in batch["id"]]

    @pytest.mark.parametrize("context", ["fork", "spawn"])
    def test_two_workers_share_an_epoch(self, few: Path, context: str) -> None:
        dataset = stream(few).for_torch()
        assert isinstance(dataset, self.data.IterableDataset)
        found = self.load(dataset, num_workers=2, multiprocessing_context=context)
        assert sorted(found) == sorted(ids(stream(few)))

    def test_without_workers_it_is_the_plain_stream(self, few: Path) -> None:
        assert self.load(stream(few).for_torch()) == ids(stream(few))

    def test_workers_of_two_ranks_share_an_epoch(self, many: Path) -> None:
        ranks = [stream(many, rank=k, world_size=2).for_torch() for k in range(2)]
        found = [name for rank in ranks for name in self.load(rank, num_workers=2)]
        assert sorted(found) == sorted(ids(stream(many)))

    def test_an_epoch_reaches_workers_that_persist(self, few: Path) -> None:
        dataset = stream(few, fields=("id", "seed")).for_torch()
        loader = self.data.DataLoader(
            dataset, batch_size=None, num_workers=2, persistent_workers=True
        )
        first = {sample["seed"] for sample in loader}
        dataset.set_epoch(9)
        second = {sample["seed"] for sample in loader}
        assert (first, second) == ({0}, {epoch_seed(0, 9)})

    def test_torchdata_resumes_in_the_middle(self, few: Path) -> None:
        stateful = pytest.importorskip("torchdata.stateful_dataloader")

        def loader() -> Any:
            dataset = stream(few, epoch=1).for_torch()
            return stateful.StatefulDataLoader(dataset, batch_size=8, num_workers=2)

        whole = [batch["id"] for batch in loader()]
        interrupted = loader()
        first = [batch["id"] for batch in islice(interrupted, 11)]
        state = interrupted.state_dict()
        resumed = loader()
        resumed.load_state_dict(state)
        assert first + [batch["id"] for batch in resumed] == whole


def test_ranks_come_from_torch_distributed(few: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch.distributed")
    code = (
        "import sys, torch.distributed as d, calipers\n"
        "rank, store, scenes = int(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
        "stream = calipers.QuestionStream(scenes)\n"
        "d.init_process_group('gloo', init_method='file://' + store, rank=rank, world_size=2)\n"
        "print(*(sample['id'] for sample in stream))\n"
    )
    command = [sys.executable, "-c", code]
    ends = (str(tmp_path / "store"), str(few))
    ranks = [
        subprocess.Popen([*command, str(k), *ends], stdout=subprocess.PIPE, text=True)
        for k in range(2)
    ]
    shares = [process.communicate(timeout=120)[0].split() for process in ranks]
    assert len(shares[0]) + len(shares[1]) == 800
    assert set(shares[0]) | set(shares[1]) == set(ids(QuestionStream(few)))
