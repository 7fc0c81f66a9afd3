"""``chat``: rooms with names, a list of who is there, and the last lines for those who come later.

A visitor is in one room at a time.  ``/chat/ROOM`` or ``?room=ROOM&name=NAME`` joins at once.  Messages in::

    {"type": "join", "room": "lobby", "name": "Ada"}      both may be left out
    {"type": "say", "text": "Hello"}
    {"type": "rename", "name": "Ada L."}
    {"type": "leave"}

and out, where ``age`` is in seconds and ``people`` lists the names in the order of their coming::

    {"type": "joined", "room": ..., "name": ..., "people": [...], "history": [{"name", "text", "age"}, ...]}
    {"type": "said", "name": ..., "text": ...}
    {"type": "entered" | "left", "name": ..., "people": [...]}
    {"type": "renamed", "was": ..., "name": ..., "people": [...]}

A name that is taken in the room gets a number.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from urllib.parse import unquote

from wsgate.apps.messages import BadMessage, JsonApplication, Message, encode, text
from wsgate.apps.visitor import Clock, Visitor

LONGEST_NAME = 24
LONGEST_TEXT = 300
# All of a room, in characters of four bytes, must fit into the one message that greets a newcomer (64 KiB).
HISTORY = 40
MAX_PEOPLE = 50
MAX_ROOMS = 64


@dataclass(slots=True)
class Room:
    """Who is in a room, and its last lines as (time, name, text)."""

    name: str
    people: dict[Visitor, str] = field(default_factory=dict)
    history: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=HISTORY))

    def free_name(self, wanted: str) -> str:
        """``wanted``, or where somebody has it, ``wanted`` with the first free number from 2 on."""
        taken = set(self.people.values())
        number, name = 1, wanted
        while name in taken:
            number += 1
            name = f"{wanted[: LONGEST_NAME - 3]} {number}"
        return name

    def tell(self, payload: bytes) -> None:
        """Send to all who are in the room."""
        for visitor in list(self.people):
            visitor.send(payload)


class Chat(JsonApplication):
    """At most 64 rooms of at most 50 people; an empty room is kept, lines and all, until its place is needed."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("chat", {"join": self._join, "say": self._say, "rename": self._rename, "leave": self._leave})
        self._clock = clock
        self._rooms: dict[str, Room] = {}
        self._room_of: dict[Visitor, Room] = {}
        self._guests = 0

    def opened(self, visitor: Visitor) -> None:
        """Greet; join the room that the path or the query names."""
        super().opened(visitor)
        wish = {name: visitor.query[name] for name in ("room", "name") if name in visitor.query}
        segments = [segment for segment in visitor.path.split("/") if segment]
        if len(segments) > 1:
            wish.setdefault("room", unquote(segments[-1]))
        if "room" in wish:
            self.obey(visitor, {"type": "join", **wish})

    def closed(self, visitor: Visitor) -> None:
        """Leave the room."""
        self._out(visitor)

    def _join(self, visitor: Visitor, message: Message) -> None:
        name = text(message, "name", LONGEST_NAME) if "name" in message else self._name_of(visitor)
        room = self._room(text(message, "room", LONGEST_NAME, default="lobby"))
        if len(room.people) >= MAX_PEOPLE and visitor not in room.people:
            raise BadMessage("the room is full")
        self._out(visitor)
        name = room.free_name(name)
        room.people[visitor] = name
        self._room_of[visitor] = room
        people, now = list(room.people.values()), self._clock.seconds()
        history = [{"name": who, "text": line, "age": round(now - at, 1)} for at, who, line in room.history]
        visitor.send(encode("joined", room=room.name, name=name, people=people, history=history))
        entered = encode("entered", name=name, people=people)
        for other in [other for other in room.people if other is not visitor]:
            other.send(entered)

    def _say(self, visitor: Visitor, message: Message) -> None:
        room = self._joined(visitor)
        line, name = text(message, "text", LONGEST_TEXT), room.people[visitor]
        room.history.append((self._clock.seconds(), name, line))
        room.tell(encode("said", name=name, text=line))

    def _rename(self, visitor: Visitor, message: Message) -> None:
        room = self._joined(visitor)
        wanted, was = text(message, "name", LONGEST_NAME), room.people[visitor]
        if wanted == was:
            return
        name = room.people[visitor] = room.free_name(wanted)
        room.tell(encode("renamed", was=was, name=name, people=list(room.people.values())))

    def _leave(self, visitor: Visitor, message: Message) -> None:
        room = self._joined(visitor)
        visitor.send(encode("left", name=room.people[visitor], people=[]))
        self._out(visitor)

    def _out(self, visitor: Visitor) -> None:
        room = self._room_of.pop(visitor, None)
        if room is not None:
            name = room.people.pop(visitor)
            room.tell(encode("left", name=name, people=list(room.people.values())))

    def _joined(self, visitor: Visitor) -> Room:
        if visitor not in self._room_of:
            raise BadMessage('join a room first: {"type": "join", "room": "lobby", "name": "Ada"}')
        return self._room_of[visitor]

    def _name_of(self, visitor: Visitor) -> str:
        if visitor in self._room_of:
            return self._room_of[visitor].people[visitor]
        self._guests += 1
        return f"guest {self._guests}"

    def _room(self, name: str) -> Room:
        if name not in self._rooms:
            if len(self._rooms) >= MAX_ROOMS:
                empty = next((room.name for room in self._rooms.values() if not room.people), None)
                if empty is None:
                    raise BadMessage("there is no place for another room")
                del self._rooms[empty]
            self._rooms[name] = Room(name)
        return self._rooms[name]
