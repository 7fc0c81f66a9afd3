// What every card has: its state, its buttons, what was sent and received, and how the last connection ended.

import { describe } from "./close_codes.js";
import { field } from "./dom.js";

const NOTICE = 6000; // milliseconds that a notice is shown

const STATES = {
  closed: () => "closed",
  connecting: () => "connecting…",
  open: () => "open",
  closing: () => "closing…",
  waiting: (connection) => `lost, again in ${Math.max(1, Math.round(connection.wait / 1000))} s`,
  failed: () => "nobody answers",
};

export function attach(card, connection) {
  const head = document.getElementById("card-head").content.cloneNode(true).firstElementChild;
  head.prepend(card.querySelector("h2"));
  card.prepend(head);
  card.append(document.getElementById("card-foot").content.cloneNode(true));
  head.querySelector(".path").textContent = card.dataset.path;

  const button = (action) => head.querySelector(`[data-action="${action}"]`);
  const name = head.querySelector("h2").textContent;
  for (const action of ["connect", "disconnect", "reconnect"]) {
    button(action).setAttribute("aria-label", `${button(action).textContent} ${name}`);
    button(action).onclick = () => connection[action]();
  }

  const show = () => {
    const state = connection.state;
    card.dataset.state = state;
    const text = STATES[state](connection);
    if (field(card, "state").textContent !== text) {
      field(card, "state").textContent = text;
    }
    const down = state === "closed" || state === "failed" || state === "waiting";
    button("connect").hidden = !down;
    button("disconnect").hidden = down && state !== "waiting";
    button("reconnect").hidden = down;
    button("disconnect").disabled = button("reconnect").disabled = state === "closing";
    if (state === "open") {
      field(card, "subprotocol").textContent = connection.subprotocol || "none";
    }
    if (state === "failed") {
      notify(card, `No WebSocket answers at ${card.dataset.path}. The gateway may have no route for it, or no server.`);
    }
  };
  connection.addEventListener("state", show);
  connection.addEventListener("sent", () => (field(card, "sent").textContent = connection.sent));
  connection.addEventListener("message", () => (field(card, "received").textContent = connection.received));
  connection.addEventListener("closed", ({ detail }) => {
    const shown = field(card, "close");
    shown.textContent = describe(detail);
    shown.dataset.code = detail.code;
    shown.dataset.clean = detail.clean;
  });
  show();
}

const notices = new WeakMap();

// Tell the visitor of something that went wrong; it goes by itself.
export function notify(card, text) {
  const notice = card.querySelector(".notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(notices.get(notice));
  notices.set(notice, setTimeout(() => (notice.hidden = true), NOTICE));
}

// Call the function that `handlers` has for the type of each JSON message.
export function onMessages(card, connection, handlers) {
  connection.addEventListener("message", ({ detail }) => {
    let message;
    try {
      message = JSON.parse(detail);
    } catch {
      notify(card, "The server sent something that is not JSON.");
      return;
    }
    if (message.type === "error") {
      notify(card, message.text);
    }
    handlers[message.type]?.(message);
  });
}

export function sendJson(card, connection, message) {
  if (!connection.send(JSON.stringify(message))) {
    notify(card, "Not connected: connect first.");
    return false;
  }
  return true;
}
