// Jobs: a bar for each, and one log of what they all say.

import { onMessages, sendJson } from "./card.js";
import { addLine, element } from "./dom.js";

const SHOWN = 8; // jobs; the oldest that has ended goes first

export function start(card, connection) {
  const list = card.querySelector(".jobs");
  const log = card.querySelector(".log");
  let jobs = new Map();

  function newJob({ job, name, steps }) {
    const bar = element("progress", { max: 100, value: 0, "aria-label": `${name}, percent done` });
    const percent = element("span", { class: "figure" }, "0 %");
    const cancel = element("button", { type: "button", class: "quiet", "aria-label": `Cancel ${name}` }, "Cancel");
    cancel.onclick = () => sendJson(card, connection, { type: "cancel", job });
    const row = element("li", { "data-job": job, "data-outcome": "running" });
    row.append(element("b", {}, name), element("span", { class: "hint" }, `${steps} steps`), percent, bar, cancel);
    return { row, name, bar, percent, cancel };
  }

  function end({ row, percent, cancel }, outcome, text) {
    row.dataset.outcome = outcome;
    percent.textContent = text;
    cancel.disabled = true;
  }

  function say(name, text) {
    addLine(log, element("li", {}, element("b", {}, name), ` ${text}`));
  }

  onMessages(card, connection, {
    started(message) {
      const job = newJob(message);
      jobs.set(message.job, job);
      list.querySelector(".empty")?.remove();
      list.prepend(job.row);
      const ended = [...list.querySelectorAll("li:not([data-outcome=running])")];
      while (list.childElementCount > SHOWN && ended.length) {
        ended.pop().remove();
      }
    },
    progress({ job, percent }) {
      jobs.get(job).bar.value = percent;
      jobs.get(job).percent.textContent = `${percent} %`;
    },
    log: ({ job, line }) => say(jobs.get(job).name, line),
    finished({ job, outcome, seconds }) {
      end(jobs.get(job), outcome, `${outcome}, ${seconds.toFixed(1)} s`);
      say(jobs.get(job).name, `is ${outcome} after ${seconds.toFixed(1)} s`);
      jobs.delete(job);
    },
  });

  connection.addEventListener("closed", () => {
    for (const job of jobs.values()) {
      end(job, "lost", "lost with the connection");
    }
    jobs = new Map();
  });
  card.querySelector(".start").onsubmit = (event) => {
    event.preventDefault();
    const { name, steps } = event.target.elements;
    const message = { type: "start", steps: Number(steps.value) };
    if (name.value.trim()) {
      message.name = name.value;
    }
    sendJson(card, connection, message);
  };
}
