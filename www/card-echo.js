// Round trips: what is sent comes back in the same order, so the oldest one that is still out belongs to each answer.

import { notify } from "./card.js";
import { addLine, drawSpark, element, field } from "./dom.js";

const EVERY = 1000; // milliseconds between two measurements
const KEPT = 50;
const BURST = 50;
const FEW = 5; // that are out when the timer stops adding to them

function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function start(card, connection) {
  const log = card.querySelector(".log");
  const measure = card.querySelector("[name=measure]");
  let out = [];
  let trips = [];
  let probes = 0;
  let timer = 0;

  function send(text, shown) {
    const entry = { text, shown, at: performance.now() };
    out.push(entry);
    if (!connection.send(text)) {
      out.pop();
      return false;
    }
    return true;
  }

  function probe() {
    probes += 1;
    send(`probe ${probes}`, false);
  }

  function showTrips() {
    field(card, "samples").textContent = trips.length;
    field(card, "rtt").textContent = trips.length ? milliseconds(trips.at(-1)) : "–";
    field(card, "p50").textContent = trips.length ? milliseconds(median(trips)) : "–";
    drawSpark(card.querySelector(".latency .spark"), trips, 0);
  }

  connection.addEventListener("message", ({ detail }) => {
    const entry = out.shift();
    if (entry === undefined || entry.text !== detail) {
      notify(card, "What came back is not what was sent.");
      return;
    }
    const trip = performance.now() - entry.at;
    trips = [...trips, trip].slice(-KEPT);
    showTrips();
    if (entry.shown) {
      addLine(log, element("li", {}, element("span", {}, detail), element("time", {}, milliseconds(trip))));
    }
  });

  connection.addEventListener("state", () => {
    clearInterval(timer);
    if (connection.state === "open") {
      out = [];
      if (measure.checked) {
        probe();
      }
      timer = setInterval(() => measure.checked && out.length < FEW && probe(), EVERY);
    }
  });

  card.querySelector("[data-action=burst]").onclick = () => {
    for (let left = BURST; left > 0; left -= 1) {
      probe();
    }
  };
  card.querySelector(".say").onsubmit = (event) => {
    event.preventDefault();
    if (!send(event.target.elements.text.value, true)) {
      notify(card, "Not connected: connect first.");
    }
  };
  card.querySelector(".closing").onsubmit = (event) => {
    event.preventDefault();
    const { code, reason } = event.target.elements;
    connection.disconnect(Number(code.value), reason.value);
  };
}
