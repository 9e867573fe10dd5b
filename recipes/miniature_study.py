"""The papers' findings in miniature: calipers-nano trained on simulated blocks, an arm a question.

    python recipes/miniature_study.py work/                    # all arms, two at a time
    python recipes/miniature_study.py work/ --only trained blind
    python recipes/miniature_study.py work/ --report docs/study.md
    python recipes/miniature_study.py work/ --smoke            # everything, tiny, in a minute

First a base is trained once (and a finer one for the DepthAPI): it learns from the masks what
patches show and where words look, and to answer general questions and where things are, by colours
alone. Each arm goes on from it. An arm
that has its file in ``work/results`` is not run again, and one that was killed goes on from its
last checkpoint. Objects, layouts and scales of the test scenes are not in the training scenes.
Needs the extras ``sim``, ``samples`` and ``train``. What it costs is in docs/study.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import calipers
from calipers.evals.cases import Case
from calipers.evals.report import report, rows
from calipers.evals.score import score
from calipers.io.run import write_json
from calipers.io.scenes import read_scenes
from calipers.model.answering import SETTINGS, NanoAnswerer, answers, load
from calipers.model.speakers import about
from calipers.model.speaking import NanoSpeaker
from calipers.questions.sampling import generator
from calipers.samples import write_sample
from calipers.samples.blocks import write_blocks
from calipers.tools import protocol
from calipers.tools.session import Session
from calipers.train.data import Cache, Frames
from calipers.train.evaluate import Asked, plain_asked
from calipers.train.nano import Trainer, start_model
from calipers.train.plain import ASKED, TOLD, TOOL, Plain
from calipers.train.recipe import Recipe, make_recipe
from calipers.types import Frame, Scene

ALL = ["vision", "projector", "language"]
SCORED = [name for name in ASKED if name != "point"]
MIRRORED = ("right_predicate", "nearer", "short_predicate")
"""Learnt from less: beside as many of their opposites, what is seen says nothing of yes or no."""
REAL: dict[str, dict[str, float]] = {"arc2017": {}, "motorcycle": {"scale": 0.25}}
"""Samples that are photographs, each for a look at what no arm has learnt from."""
TEST_SEED = 1_000_003
GENERAL_QUESTIONS = 200
POINTING = {"short": 0.3, "patches": "description"}
"""How the DepthAPI's arm learns names: it looks for pairs of colour and shape that it has not seen
by their colours."""
CALL, POINT = re.compile(r"=(\d+)"), re.compile(r"\((0\.\d+), (0\.\d+)\)")


@dataclass(frozen=True)
class Size:
    """How large a study is: scenes, steps of each stage, questions asked at the end."""

    train: int = 4000
    few: int = 250
    test: int = 300
    naming: int = 400
    basic: int = 1000
    steps: int = 1000
    both: int = 200
    longer: int = 2000
    finer: int = 1000
    questions: int = 1200
    tool_questions: int = 6000
    where: int = 300
    real: int = 100
    width: int = 128
    layers: int = 4
    picture_wh: tuple[int, int] = (128, 96)
    fine_wh: tuple[int, int] = (192, 144)


SMOKE = Size(
    12,
    few=6,
    test=4,
    naming=2,
    basic=2,
    steps=3,
    both=2,
    longer=2,
    finer=2,
    questions=24,
    tool_questions=24,
    where=4,
    real=4,
    width=32,
    layers=3,
)
STEPS = ("naming", "basic", "steps", "both", "longer", "finer")
COST = "cost.json"


@dataclass(frozen=True)
class Arm:
    """One model of the study; what is not said is as in the arm ``trained``.

    Attributes:
        asks: the question of the study that it is for.
        tool: the DepthAPI is taught and asked, and nothing else but where things are; such an arm
            begins with a base that sees more pixels, for it has to point finely, and learns longer.
        share: of the tokens that are spatial, beside general questions; None has no others.
    """

    name: str
    asks: str
    see: str = "rgbd"
    codec: str = "log8"
    data: str = "train"
    frozen: bool = False
    noise: float = 0.0
    tool: bool = False
    share: float | None = None
    trained: bool = True
    seed: int = 0


TEACHES, DEPTH, FROZEN = "does the data teach?", "does depth help?", "frozen or not?"
NOISE, SHARE, MORE = "noise in the labels", "share of spatial tokens", "more pictures or questions?"
SEEDS = (0, 10, 20)


def again(arm: Arm) -> list[Arm]:
    """An arm with each of the seeds: how much of a difference is chance in training."""
    names = [arm.name if seed == 0 else f"{arm.name}-seed-{seed}" for seed in SEEDS]
    return [replace(arm, name=name, seed=seed) for name, seed in zip(names, SEEDS)]


ARMS = (
    Arm("untrained", TEACHES, trained=False),
    *again(Arm("blind", TEACHES, see="nothing")),
    *again(Arm("trained", TEACHES)),
    Arm("rgb", DEPTH, see="rgb"),
    Arm("rgbd-spatialbot", DEPTH, codec="spatialbot"),
    Arm("rgbd-inverse8", DEPTH, codec="inverse8"),
    Arm("tool", DEPTH, tool=True),
    *again(Arm("frozen", FROZEN, frozen=True)),
    Arm("noise-0.1", NOISE, noise=0.1),
    Arm("noise-0.2", NOISE, noise=0.2),
    Arm("noise-0.3", NOISE, noise=0.3),
    Arm("share-0", SHARE, share=0.0),
    Arm("share-5", SHARE, share=0.05),
    Arm("few-pictures", MORE, data="few"),
)
SCRIPTED = "scripted"
"""Not a model: it knows where things are and asks the DepthAPI, to show what that can give."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not there yet, and write the report if it is wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="*", default=[arm.name for arm in ARMS] + [SCRIPTED])
    parser.add_argument("--budget", type=float, default=1.0, help="share of the full steps")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--report", type=Path)
    given = parser.parse_args(arguments)
    unknown = set(given.only) - {arm.name for arm in ARMS} - {SCRIPTED}
    if unknown:
        parser.error(f"no arm called {', '.join(sorted(unknown))}")
    size = SMOKE if given.smoke else Size()
    steps = {name: max(1, round(getattr(size, name) * given.budget)) for name in STEPS}
    size = replace(size, **steps)
    if given.report is None:
        make_scenes(given.work, size)
        chosen = [arm for arm in ARMS if arm.name in given.only]
        for tool in sorted({arm.tool for arm in chosen}):
            make_base(given.work, size, given.workers, tool)
        with ProcessPoolExecutor(given.workers, get_context("spawn")) as pool:
            for done in pool.map(run_arm, *zip(*((given.work, size, arm) for arm in chosen))):
                sys.stderr.write(f"{done}\n")
        if SCRIPTED in given.only:
            run_scripted(given.work, size)
    else:
        from study_report import write_report

        write_report(given.work / "results", given.report, [*ARMS])


def make_scenes(work: Path, size: Size) -> None:
    """Frames and scenes of both parts, and general questions about the frames for training."""
    for name, part, count in (
        ("train", "train", size.train), ("few", "train", size.few), ("test", "test", size.test),
    ):  # fmt: skip
        frames, run = work / f"{name}-frames", work / name
        if not (frames / "metadata.jsonl").exists():
            write_blocks(frames, count, part=part)
        calipers.scenes(frames, run, workers=1)
    for name, options in REAL.items():
        if not (frames := work / f"{name}-frames").exists():
            write_sample(name, frames, **options)
        calipers.scenes(frames, work / name, workers=1)
    talks = [general_record(scene) for scene in read_scenes(work / "train")]
    write_json(work / "general.json", talks)


def general_questions(scene: Scene) -> list[tuple[str, str]]:
    """What is asked of a picture in general: colours, numbers, whether something is there."""
    captions = [item.caption for item in scene.objects]
    rng = generator(0, f"general {scene.id}")
    hues, shapes = zip(*(caption.split() for caption in captions))
    found = [("How many things are there?", str(len(captions)))]
    found += [(f"What is {hue}?", shape) for hue, shape in zip(hues, shapes)]
    for hue in rng.choice(["red", "green", "blue", "yellow", "purple", "pink"], 2, replace=False):
        found.append((f"Is anything {hue}?", "yes" if hue in hues else "no"))
    return [found[k] for k in rng.permutation(len(found))]


def general_record(scene: Scene) -> dict[str, Any]:
    """A scene's general questions as LLaVA writes them."""
    said = [
        {"from": who, "value": text}
        for turn in general_questions(scene)
        for who, text in zip(("human", "gpt"), turn)
    ]
    images = [f"train-frames/{scene.image}", f"train-frames/{scene.depth_image}"]
    return {"image": images, "conversations": said}


def told(name: str) -> Callable[[dict[str, Any]], None]:
    """Says how a training goes on, now and then."""

    def tell(record: dict[str, Any]) -> None:
        if record["step"] % 20 == 0:
            step, loss = f"{record['stage']} {record['step']}", record["loss"]
            sys.stderr.write(f"{name} {step}: {loss:.3f}\n")

    return tell


def base_of(work: Path, tool: bool) -> Path:
    """Where the base of an arm is."""
    return work / ("base-tool" if tool else "base")


def make_base(work: Path, size: Size, threads: int, tool: bool) -> None:
    """What all arms begin with; see the top. Its tokenizer knows the words of all questions."""
    run = str(work / "train")
    general: dict[str, Any] = {"general": str(work / "general.json")}
    plain: dict[str, Any] = {"run": run, "ask": "plain", "tool": tool}
    if tool:
        plain |= POINTING
    where = plain | {"types": ["point"]}
    names = {"run": run, "ask": "names", "patches": plain.get("patches", "name")}
    recipe = make_recipe({
        "out": base_of(work, tool),
        "data": [plain, general],
        "stages": [
            {"name": "names", "learn": ALL, "steps": size.naming, "lr": 3e-3, "data": [names]},
            {"name": "basic", "learn": ALL, "steps": size.basic, "lr": 1e-3, "warmup": 30,
             "data": [where, general]},
        ],
        "spatial_share": 0.75, "see": "rgb", "pictures": 16, "turns": 8, "checkpoint": 100,
        "threads": threads,
        "nano": {"picture_wh": size.fine_wh if tool else size.picture_wh, "width": size.width,
                 "language_layers": size.layers},
    })  # fmt: skip
    if not (recipe.out / "model.safetensors").exists():
        Trainer(recipe, told(recipe.out.name)).train()


def recipes_of(work: Path, size: Size, arm: Arm) -> list[Recipe]:
    """What an arm learns, one after the other: to measure and to compare mostly one way, then all
    types alike. With the tool all along what it is asked, and to read what it says, and at last
    to look alone."""
    plain = {"run": str(work / arm.data), "ask": "plain", "noise": arm.noise, "tool": arm.tool}
    direct = [name for name in ASKED if name not in MIRRORED]
    learn = [part for part in ALL if not (arm.frozen and part == "vision")]
    share = {} if arm.share is None else {"general": str(work / "general.json")}
    found, model = [], base_of(work, arm.tool)
    parts = [("one-way", size.steps, [direct, SCORED]), ("both", size.both, [[*ASKED]])]
    if arm.tool:
        plain |= POINTING
        seen = ["point", *TOOL]
        read = [[*seen, *TOLD]]
        parts = [("tool", size.steps, read), ("longer", size.longer, read)]
        parts += [("finer", size.finer, [seen])]
    for k, (name, steps, types) in enumerate(parts):
        data: list[dict[str, Any]] = [plain | {"types": some} for some in types]
        stage = {"name": name, "learn": learn, "steps": steps, "lr": 1e-3, "warmup": 20}
        recipe = make_recipe({
            "model": str(model), "out": work / "arms" / f"{arm.name}-{name}", "stages": [stage],
            "data": [*data, share] if share else data,
            "spatial_share": 0.05 if arm.share is None else arm.share, "seed": arm.seed + k,
            "codec": arm.codec, "see": arm.see, "pictures": 8, "turns": 10 if arm.tool else 14,
            "checkpoint": 100, "threads": 1,
        })  # fmt: skip
        found.append(recipe)
        model = recipe.out
    return found


def run_arm(work: Path, size: Size, arm: Arm) -> str:
    """Train and question an arm, unless its result is there; says what was done."""
    result = work / "results" / f"{arm.name}.json"
    if result.exists():
        return f"{arm.name}: done before"
    recipes = recipes_of(work, size, arm)
    if arm.trained:
        for recipe in recipes:
            train(recipe)
    else:
        start_model(recipes[0]).save_pretrained(recipes[-1].out)
    folder, begun = recipes[-1].out, time.process_time()
    write_json(folder / SETTINGS, {"see": arm.see, "tool": arm.tool})
    paths = [path for recipe in recipes if (path := recipe.out / COST).exists()]
    costs = [json.loads(path.read_text("utf-8")) for path in paths]
    found = {
        "arm": asdict(arm), "size": asdict(size), "weights_of": recipes[0].model,
        "train_cpu_s": round(sum(cost["cpu_s"] for cost in costs), 1),
        "tokens": sum(cost["tokens"] for cost in costs),
        "rows": ask_model(work, size, arm, folder),
        "general": ask_general(work, folder),
        "where": ask_where(work, size, folder),
        "real": ask_real(work, size, folder),
    }  # fmt: skip
    result.parent.mkdir(exist_ok=True)
    write_json(result, found | {"test_cpu_s": round(time.process_time() - begun, 1)})
    return f"{arm.name}: {found['train_cpu_s']:.0f} s of processor time"


def train(recipe: Recipe) -> None:
    """Train by a recipe, unless it was finished before; says beside the model what it cost.

    What was spent before a kill is not known any more, and not counted.
    """
    if (recipe.out / COST).exists():
        return
    begun, tokens, say = time.process_time(), 0, told(recipe.out.name)

    def tell(record: dict[str, Any]) -> None:
        nonlocal tokens
        tokens += record["tokens"]
        say(record)

    Trainer(recipe, tell).train()
    cost = {"cpu_s": round(time.process_time() - begun, 1), "tokens": tokens}
    write_json(recipe.out / COST, cost)


Test = list[tuple[Plain, Asked]]


def questions_of(work: Path, name: str, count: int, types: Sequence[str] = SCORED) -> Test:
    """Plain questions of the scenes of a part or sample: the same for every arm."""
    frames, scenes = Frames.under(work / f"{name}-frames"), list(read_scenes(work / name))
    return list(plain_asked(scenes, frames, -(-count // len(scenes)), TEST_SEED, types))


def ask_real(work: Path, size: Size, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of a report on each photograph."""
    model, read, found = load(folder, "cpu"), Cache.frames(), {}
    for name in REAL:
        asked = questions_of(work, name, size.real)
        said = answers(model, ((read(c.seen), one.question) for one, c in asked))
        found[name] = scored(asked, said)
    return found


def ask_model(work: Path, size: Size, arm: Arm, folder: Path) -> list[dict[str, Any]]:
    """Rows of a report on the test questions; with the tool, those that it answers, of more."""
    model, read = load(folder, "cpu"), Cache.frames()
    asked = questions_of(work, "test", size.tool_questions if arm.tool else size.questions)
    if arm.tool:
        assert isinstance(model, NanoAnswerer)
        speaker = NanoSpeaker(arm.name, model)
        asked = [(one, case) for one, case in asked if one.type in TOOL]
        return scored(asked, (
            with_tool(speaker.going_on(about(frame, one.question)), frame)
            for one, frame in ((one, read(case.seen)) for one, case in asked)
        ))  # fmt: skip
    return scored(asked, answers(model, ((read(c.seen), one.question) for one, c in asked)))


def ask_where(work: Path, size: Size, folder: Path) -> dict[str, Any]:
    """How far a model's points are from the things, in hundredths of the picture's sides."""
    model, read = load(folder, "cpu"), Cache.frames()
    asked = questions_of(work, "test", size.where, ["point"])
    said = answers(model, ((read(c.seen), one.question) for one, c in asked))
    off = []
    for (one, _), text in zip(asked, said):
        found = POINT.fullmatch(text)
        place = (float(found[1]), float(found[2])) if found else (np.inf, np.inf)
        off.append(100 * np.hypot(*np.subtract(place, one.points[0])))
    no_point = int(np.isinf(off).sum())
    return {"questions": len(off), "no_point": no_point, "median": float(np.median(off))}


def with_tool(backend: protocol.Backend, frame: Frame) -> str:
    """What a model says in the end, the DepthAPI asked on the way."""
    return protocol.run(backend, Session.of_frame(frame)).text


def scored(asked: Test, said: Iterator[str]) -> list[dict[str, Any]]:
    """Rows of a report."""
    cases = [one.case for _, one in asked]
    given = {case.id: text for case, text in zip(cases, said)}
    return [row.to_json() for row in report("study", score(cases, given)).rows]


def ask_general(work: Path, folder: Path) -> list[dict[str, Any]]:
    """Rows of a report on the general questions of the test scenes; the text must be the same."""
    model, read, frames = load(folder, "cpu"), Cache.frames(), Frames.under(work / "test-frames")
    asked = [
        (frames.seen(scene.image, scene.depth_image), scene.id, turn)
        for scene in read_scenes(work / "test")
        for turn in general_questions(scene)
    ][:GENERAL_QUESTIONS]
    said = answers(model, ((read(seen), question) for seen, _, (question, _) in asked))
    cases = [
        Case(str(k), "option", "A", question, choices=("right", "wrong"), cluster=scene)
        for k, (_, scene, (question, _)) in enumerate(asked)
    ]
    right = {
        str(k): "A" if text == answer else "B"
        for k, ((_, _, (_, answer)), text) in enumerate(zip(asked, said))
    }
    return [row.to_json() for row in rows(score(cases, right))]


def scripted(asked: Plain) -> Callable[[str], Iterator[str]]:
    """Who knows where things are: asks how deep they are, and says or compares what it is told."""

    def go_on(so_far: str) -> Iterator[str]:
        told = [int(depth) for depth in CALL.findall(so_far)]
        if len(told) < len(asked.points):
            x, y = asked.points[len(told)]
            yield f" Depth({x:.4f},{y:.4f})"
        elif asked.type == "depth":
            yield " mm"
        else:
            yield " yes" if (told[0] > told[1]) == (asked.type == "farther") else " no"

    return go_on


def run_scripted(work: Path, size: Size) -> None:
    """What the DepthAPI gives to who knows where to look."""
    result, read = work / "results" / f"{SCRIPTED}.json", Cache.frames()
    if result.exists():
        return
    asked = [
        (one, case) for one, case in questions_of(work, "test", size.questions) if one.type in TOOL
    ]
    said = (with_tool(scripted(one), read(case.seen)) for one, case in asked)
    result.parent.mkdir(exist_ok=True)
    write_json(result, {"arm": {"name": SCRIPTED}, "rows": scored(asked, said)})


if __name__ == "__main__":
    main()
