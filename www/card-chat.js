// Rooms: the connection joins when it opens, under the name and room in the form.

import { onMessages, sendJson } from "./card.js";
import { addLine, element } from "./dom.js";

export function start(card, connection) {
  const log = card.querySelector(".log");
  const people = card.querySelector(".people");
  const form = card.querySelector(".join");
  let me = "";

  function showPeople(names) {
    people.replaceChildren(...names.map((name) => element("span", name === me ? { class: "me" } : {}, name)));
    card.dataset.people = names.length;
  }

  function line(name, text, age = 0) {
    const time = new Date(Date.now() - 1000 * age).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const who = element("b", name === me ? { class: "me" } : {}, name);
    addLine(log, element("li", {}, element("span", {}, who, ` ${text}`), element("time", {}, time)));
  }

  function event(text) {
    addLine(log, element("li", { class: "event" }, text));
  }

  function join() {
    const message = { type: "join", room: form.elements.room.value };
    if (form.elements.name.value.trim()) {
      message.name = form.elements.name.value;
    }
    sendJson(card, connection, message);
  }

  onMessages(card, connection, {
    hello: join,
    joined({ room, name, people: names, history }) {
      me = name;
      card.dataset.room = room;
      log.replaceChildren();
      history.forEach((said) => line(said.name, said.text, said.age));
      event(`You are ${name} in ${room}.`);
      showPeople(names);
    },
    said: ({ name, text }) => line(name, text),
    entered({ name, people: names }) {
      event(`${name} came in.`);
      showPeople(names);
    },
    left({ name, people: names }) {
      event(`${name} went.`);
      showPeople(names);
    },
    renamed({ was, name, people: names }) {
      me = was === me ? name : me;
      event(`${was} is now ${name}.`);
      showPeople(names);
    },
  });

  connection.addEventListener("closed", () => {
    delete card.dataset.room;
    showPeople([]);
  });
  form.onsubmit = (submit) => {
    submit.preventDefault();
    join();
  };
  card.querySelector(".say").onsubmit = (submit) => {
    submit.preventDefault();
    const { text } = submit.target.elements;
    if (sendJson(card, connection, { type: "say", text: text.value })) {
      text.value = "";
    }
  };
}
