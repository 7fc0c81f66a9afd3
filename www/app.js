// The page: one connection and one card for each application, and the map that shows them together.
//
// No file here has a name that begins like the path of an application: a gateway's route for the prefix /chat would
// take /chat.js as well.

import { attach } from "./card.js";
import { start as board } from "./card-board.js";
import { start as chat } from "./card-chat.js";
import { start as echo } from "./card-echo.js";
import { start as progress } from "./card-progress.js";
import { start as ticker } from "./card-ticker.js";
import { Connection } from "./connection.js";
import { field } from "./dom.js";

const APPS = { echo, chat, ticker, board, progress };
const still = matchMedia("(prefers-reduced-motion: reduce)");
const PULSES = 3; // moving at a time on one wire

// A WebSocket goes where the page came from, under TLS if the page did.
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const connections = [];
const connectAll = document.getElementById("connect-all");
const disconnectAll = document.getElementById("disconnect-all");

function pulse(wire, inward) {
  if (still.matches || document.hidden || wire.childElementCount >= PULSES) {
    return;
  }
  const dot = wire.appendChild(document.createElement("i"));
  const ends = [{ left: "0%" }, { left: "100%" }];
  const move = dot.animate(inward ? ends.reverse() : ends, { duration: 420, easing: "ease-in-out" });
  move.onfinish = () => dot.remove();
  move.oncancel = () => dot.remove();
}

function showInMap(name, connection) {
  const lane = document.querySelector(`[data-lane="${name}"]`);
  const wire = lane.querySelector(".wire");
  const show = () => {
    lane.dataset.state = connection.state;
    const open = connections.filter((one) => one.state === "open").length;
    field(document, "open").textContent = open;
    document.body.dataset.open = open;
    connectAll.disabled = open === connections.length;
    disconnectAll.disabled = connections.every((one) => one.state === "closed" || one.state === "failed");
  };
  connection.addEventListener("state", show);
  connection.addEventListener("sent", () => pulse(wire, false));
  connection.addEventListener("message", () => pulse(wire, true));
  show();
}

for (const [name, start] of Object.entries(APPS)) {
  const card = document.getElementById(name);
  const { path, subprotocol } = card.dataset;
  const connection = new Connection(`${scheme}//${location.host}${path}`, subprotocol);
  connections.push(connection);
  attach(card, connection);
  start(card, connection);
  showInMap(name, connection);
  connection.connect();
}

field(document, "origin").textContent = location.origin;
field(document, "host").textContent = location.host;
field(document, "scheme").textContent = scheme === "wss:" ? "wss, ends TLS here" : "ws, no TLS";
connectAll.onclick = () => connections.forEach((one) => one.connect());
disconnectAll.onclick = () => connections.forEach((one) => one.disconnect());

// A browser may keep a page that was left, frozen, with its connections open: nobody would read them. It may also show
// that page again.
let resumed = [];
addEventListener("pagehide", () => {
  resumed = connections.filter((one) => one.wanted);
  resumed.forEach((one) => one.disconnect(1000, "the page was left"));
});
addEventListener("pageshow", (event) => event.persisted && resumed.forEach((one) => one.connect()));
