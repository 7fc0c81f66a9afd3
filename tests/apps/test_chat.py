from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from tests.apps.visitors import FakeVisitor, say, visit
from wsgate.apps.chat import HISTORY, LONGEST_NAME, LONGEST_TEXT, MAX_PEOPLE, MAX_ROOMS, Chat
from wsgate.apps.endpoint import MAX_MESSAGE


def joined(app: Chat, room: str = "lobby", name: str = "") -> FakeVisitor:
    visitor = visit(app, room=room, **({"name": name} if name else {}))
    assert visitor.types()[:2] == ["hello", "joined"]
    return visitor


def test_a_newcomer_sees_the_people_and_the_last_lines_with_their_age() -> None:
    clock = Clock()
    app = Chat(clock)
    ada = joined(app, name="Ada")
    say(app, ada, type="say", text="hello")
    clock.advance(2.5)
    bob = visit(app)
    assert say(app, bob, type="join", room="lobby", name="Bob") == [
        {
            "type": "joined",
            "room": "lobby",
            "name": "Bob",
            "people": ["Ada", "Bob"],
            "history": [{"name": "Ada", "text": "hello", "age": 2.5}],
        }
    ]
    assert ada.told() == [{"type": "entered", "name": "Bob", "people": ["Ada", "Bob"]}]


def test_a_line_reaches_all_of_the_room_and_nobody_else() -> None:
    app = Chat(Clock())
    ada, bob, eve = joined(app, name="Ada"), joined(app, name="Bob"), joined(app, "garden", "Eve")
    ada.told()
    said = [{"type": "said", "name": "Bob", "text": "hi"}]
    assert say(app, bob, type="say", text="hi") == said
    assert ada.told() == said
    assert eve.told() == []


@pytest.mark.parametrize(
    ("path", "query", "room"),
    [
        ("/chat/tea", {}, "tea"),
        ("/chat/t%C3%A9%20a", {}, "té a"),
        ("/deep/er/tea/", {}, "tea"),
        ("/chat", {"room": "tea"}, "tea"),
        ("/chat/coffee", {"room": "tea"}, "tea"),
    ],
)
def test_path_or_query_join_a_room_at_once(path: str, query: dict[str, str], room: str) -> None:
    visitor = visit(Chat(Clock()), path, **query)
    assert visitor.told()[1]["room"] == room


@pytest.mark.parametrize("path", ["/", "/chat", "/chat/", "/blahblah"])
def test_any_other_path_leaves_the_choice_to_the_visitor(path: str) -> None:
    app = Chat(Clock())
    visitor = visit(app, path, name="Ada")
    assert visitor.types() == ["hello"]
    assert say(app, visitor, type="say", text="hi")[0]["text"].startswith("join a room first")
    assert say(app, visitor, type="join")[0] | {"people": []} == {
        "type": "joined",
        "room": "lobby",
        "name": "guest 1",
        "people": [],
        "history": [],
    }


def test_a_bad_room_in_the_address_is_an_error_and_joins_nothing() -> None:
    visitor = visit(Chat(Clock()), room="x" * 100)
    assert visitor.types() == ["hello", "error"]


def test_a_taken_name_gets_the_first_free_number() -> None:
    app = Chat(Clock())
    first, second, third = (joined(app, name="Ada") for _ in range(3))
    people = ["Ada", "Ada 2", "Ada 3"]
    assert say(app, third, type="rename", name="Eve") == [
        {"type": "renamed", "was": "Ada 3", "name": "Eve", "people": ["Ada", "Ada 2", "Eve"]}
    ]
    app.closed(second)
    assert first.told()[-1] == {"type": "left", "name": "Ada 2", "people": ["Ada", "Eve"]}
    assert visit(app, room="lobby", name="Ada").told()[1]["name"] == people[1]


def test_a_name_of_full_length_has_room_for_its_number() -> None:
    app = Chat(Clock())
    names = [visit(app, room="lobby", name="N" * LONGEST_NAME).told()[1]["name"] for _ in range(12)]
    assert len(set(names)) == 12
    assert max(map(len, names)) <= LONGEST_NAME


def test_renaming_to_the_same_name_tells_nobody() -> None:
    app = Chat(Clock())
    ada = joined(app, name="Ada")
    assert say(app, ada, type="rename", name="Ada") == []


def test_joining_another_room_leaves_the_first_and_keeps_the_name() -> None:
    app = Chat(Clock())
    ada, bob = joined(app, name="Ada"), joined(app, name="Bob")
    ada.told()
    answer = say(app, bob, type="join", room="garden")
    assert [(a["type"], a["name"], a["people"]) for a in answer] == [("joined", "Bob", ["Bob"])]
    assert ada.told() == [{"type": "left", "name": "Bob", "people": ["Ada"]}]


def test_who_leaves_hears_so_and_no_more_of_the_room() -> None:
    app = Chat(Clock())
    ada, bob = joined(app, name="Ada"), joined(app, name="Bob")
    assert say(app, bob, type="leave") == [{"type": "left", "name": "Bob", "people": []}]
    say(app, ada, type="say", text="gone?")
    assert bob.told() == []
    assert say(app, bob, type="leave")[0]["type"] == "error"


def test_who_disconnects_without_a_room_is_forgotten() -> None:
    app = Chat(Clock())
    app.closed(visit(app))
    assert joined(app, name="Ada").told() == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "say"},
        {"type": "say", "text": ""},
        {"type": "say", "text": "x" * (LONGEST_TEXT + 1)},
        {"type": "say", "text": ["hi"]},
        {"type": "rename", "name": None},
        {"type": "join", "room": "x" * (LONGEST_NAME + 1)},
        {"type": "join", "name": 5},
    ],
)
def test_bad_input_is_an_error_and_changes_nothing(message: dict[str, object]) -> None:
    app = Chat(Clock())
    ada, bob = joined(app, name="Ada"), joined(app, name="Bob")
    bob.told()
    ada.told()
    assert [answer["type"] for answer in say(app, ada, **message)] == ["error"]
    assert bob.told() == []


def test_a_room_has_an_end() -> None:
    app = Chat(Clock())
    people = [joined(app) for _ in range(MAX_PEOPLE)]
    late = visit(app)
    late.told()
    assert say(app, late, type="join", room="lobby") == [{"type": "error", "text": "the room is full"}]
    assert say(app, people[0], type="join", room="lobby")[-1]["type"] == "joined"


def test_rooms_have_an_end_and_the_oldest_empty_one_makes_place() -> None:
    app = Chat(Clock())
    visitors = [joined(app, f"room {number}") for number in range(MAX_ROOMS)]
    late = visit(app, room="one more")
    assert late.told()[1] == {"type": "error", "text": "there is no place for another room"}
    say(app, visitors[7], type="say", text="remember")
    app.closed(visitors[7])
    assert visit(app, room="room 7").told()[1]["history"] != []
    app.closed(visitors[9])
    assert say(app, late, type="join", room="one more")[0]["room"] == "one more"


def test_the_fullest_room_fits_into_one_message() -> None:
    app = Chat(Clock())
    wide = "\U0001f600"
    people = [joined(app, wide * LONGEST_NAME, wide * LONGEST_NAME) for _ in range(MAX_PEOPLE - 1)]
    for visitor in people:
        say(app, visitor, type="say", text=wide * LONGEST_TEXT)
    last = visit(app, room=wide * LONGEST_NAME, name=wide * LONGEST_NAME)
    payload, _ = last.sent[-1]
    assert len(last.told()[-1]["history"]) == HISTORY
    assert len(payload) <= MAX_MESSAGE
