"""What a language model says is kept only when it agrees with the facts; the model is scripted."""

from __future__ import annotations

import json

import pytest

from calipers import spatial_qa
from calipers.chat import ChatClient
from calipers.spatialqa.rewriting import RejectedError, check, rewrite
from calipers.spatialqa.table import SpatialQuestion
from chat_server import said, serving
from spatialqa.seen_scenes import frame_of, lifted

FRAME = frame_of()
SCENE = lifted(FRAME)


def one(type: str, label: str | None = None, ask: str = "", tool: float = 0.0) -> SpatialQuestion:
    found = spatial_qa(SCENE, FRAME.depth_m, count=300, types=[type], tool_share=tool)
    return next(
        q
        for q in found
        if q.question_template.startswith(f"{type}.{ask}") and label in (None, q.label)
    )


def names(question: SpatialQuestion) -> tuple[str, str]:
    """The nearer and the farther of two."""
    a, b = question.objects
    return (a, b) if question.label == "A" else (b, a)


def reason(question: SpatialQuestion, asked: str, answered: str) -> str | None:
    try:
        check(question, asked, answered, SCENE)
    except RejectedError as error:
        return str(error)
    return None


@pytest.mark.parametrize("seed", range(4))
def test_the_templates_own_words_agree_with_the_facts(seed: int) -> None:
    found = spatial_qa(SCENE, FRAME.depth_m, count=120, seed=seed)
    rejected = {
        (q.question, q.answer): said
        for q in found
        if (said := reason(q, q.question, q.answer)) is not None
    }
    assert rejected == {}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("{near} sits nearer to us than {far}.", None),
        ("{far} is farther away than {near}.", None),
        ("{near} is the nearer one, while {far} is farther away.", None),
        ("It would be {near}.", None),
        ("{far} is nearer than {near}.", "relation"),
        ("{near} is farther away than {far}.", "relation"),
        ("{far}.", "answer"),
        ("They are about the same.", "answer"),
        ("{near} is not the nearer one.", "answer"),
        ("{near} is nearer than {far}, by 12 cm.", "number"),
        ("{near} is nearer than {far} and to the left of it.", "relation"),
        ("{near} is nearer than {far} and bigger.", "relation"),
        ("{near} is nearer than {far} and the sofa.", "name"),
    ],
)
def test_which_of_two_is_nearer(answer: str, why: str | None) -> None:
    question = one("nearer_object")
    near, far = names(question)
    asked = f"I wonder what comes first, {near} or {far}?"
    assert reason(question, asked, answer.format(near=near, far=far)) == why


def test_both_must_be_named_by_their_phrases() -> None:
    question = one("nearer_object")
    near, _ = names(question)
    assert reason(question, "What is nearer?", f"{near} is nearer.") == "name"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("On average it is 1.00 m away.", None),
        ("Its mean depth is 100 cm.", None),
        ("Its mean depth is 1000 mm.", None),
        ("Its mean depth is 1.00 cm.", "number"),
        ("Its mean depth is 1.00.", "number"),
        ("Its mean depth is 1.02 m.", "number"),
        ("It is quite near.", "number"),
        ("Its mean depth is 1.00 m and it is 30 cm wide.", "number"),
    ],
)
def test_a_measure_keeps_its_value_and_its_unit(answer: str, why: str | None) -> None:
    found = spatial_qa(SCENE, FRAME.depth_m, count=300, types=["object_depth"])
    question = next(
        q for q in found if q.objects == ["the red mug"] and ".mean." in q.question_template
    )
    assert reason(question, "How deep is the red mug on average?", answer) == why


@pytest.mark.parametrize(
    ("label", "answer", "why"),
    [
        ("yes", "Yes, I spotted one.", None),
        ("yes", "No, I see none.", "answer"),
        ("yes", "I think so.", "answer"),
        ("yes", "Yes, but it is not there.", "answer"),
        ("no", "No, nothing like that.", None),
        ("no", "Yes, there it is.", "answer"),
    ],
)
def test_yes_stays_yes_and_no_stays_no(label: str, answer: str, why: str | None) -> None:
    question = one("existence", label)
    assert reason(question, question.question, answer) == why
    assert reason(question, "Is there a zebra?", answer) == "name"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("I count one lamp.", None),
        ("There is a single lamp.", None),
        ("There are two lamps.", "number"),
        ("I count 3 lamps.", "number"),
        ("There are no lamps.", "answer"),
        ("There is one red lamp.", "name"),
    ],
)
def test_counts(answer: str, why: str | None) -> None:
    found = spatial_qa(SCENE, FRAME.depth_m, count=300, types=["counting"])
    question = next(q for q in found if "lamps" in q.question)
    assert reason(question, "How many table lamps do you see?", answer) == why


def test_the_order_of_three_must_stay() -> None:
    question = one("depth_order")
    asked = "Sort the red mug, the blue box and the table lamp, nearest first."
    right = "First the red mug, next the blue box, at the end the table lamp."
    wrong = "First the blue box, next the red mug, at the end the table lamp."
    assert reason(question, asked, right) is None
    assert reason(question, asked, wrong) == "answer"


def test_a_box_must_stay_as_it_is() -> None:
    question = one("locate")
    name, box = question.objects[0], question.label or ""
    assert reason(question, f"Where is {name}?", f"You find {name} at {box}.") is None
    other = box.replace("0.1", "0.2", 1) if "0.1" in box else box.replace("0.5", "0.6", 1)
    assert reason(question, f"Where is {name}?", f"You find {name} at {other}.") == "number"
    assert reason(question, f"Where is {name}?", f"You find {name} there.") == "number"


@pytest.fixture
def questions() -> list[SpatialQuestion]:
    found = spatial_qa(SCENE, FRAME.depth_m, count=300, types=["nearer_object"], tool_share=1.0)
    return [found[0], found[1]]


def client(url: str) -> ChatClient:
    return ChatClient(model="m", base_url=url, attempts=1)


def turns(questions: list[SpatialQuestion], *right: bool) -> str:
    rows = []
    for question, fits in zip(questions, right):
        near, far = names(question) if fits else names(question)[::-1]
        asked = f"Tell me, {question.objects[0]} or {question.objects[1]}: who is nearer?"
        rows.append({"user": asked, "assistant": f"I would say {near} is nearer than {far}."})
    return json.dumps(rows)


def test_good_wordings_are_kept_and_bad_ones_counted(questions: list[SpatialQuestion]) -> None:
    with serving([said(f"```json\n{turns(questions, True, False)}\n```")]) as server:
        found, counts = rewrite(client(server.url), questions, SCENE)
    assert counts == {"kept": 1, "relation": 1}
    assert found[1] == questions[1]
    assert found[0].answer.startswith("I would say the ")
    assert found[0].answer_template == "rewritten"
    assert (found[0].label, found[0].value, found[0].objects) == (
        questions[0].label, questions[0].value, questions[0].objects,
    )  # fmt: skip
    assert found[0].messages[0]["content"] == found[0].question
    assert found[0].messages[1:-1] == questions[0].messages[1:-1]
    assert found[0].messages[-1]["content"] == found[0].answer
    sent = server.asked[0].texts[0]
    assert questions[0].question in sent
    assert questions[1].answer in sent


def test_what_is_no_list_of_turns_is_asked_for_again_once(
    questions: list[SpatialQuestion],
) -> None:
    with serving([said("Sure!"), said(turns(questions, True, True))]) as server:
        _, counts = rewrite(client(server.url), questions, SCENE)
    assert counts == {"kept": 2}
    with serving([said("Sure!"), said('[{"user": "a"}]')]) as server:
        found, counts = rewrite(client(server.url), questions, SCENE)
    assert counts == {"unusable": 2}
    assert found == questions
