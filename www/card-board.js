// A board that all visitors paint: what is pressed is sent, what comes back is shown.

import { onMessages, sendJson } from "./card.js";
import { element, field } from "./dom.js";

const NAMES = ["empty", "red", "orange", "yellow", "green", "teal", "blue", "violet", "pink"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function start(card, connection) {
  const fields = card.querySelector(".fields");
  const palette = card.querySelector(".palette");
  let size = 8;
  let cells = [];

  function chosen() {
    return Number(palette.querySelector(":checked").value);
  }

  function show(x, y, colour) {
    const cell = cells[y * size + x];
    cell.dataset.colour = colour;
    cell.setAttribute("aria-label", `row ${y + 1}, column ${x + 1}: ${NAMES[colour]}`);
  }

  function showPlayers(players) {
    field(card, "players").textContent = players;
    field(card, "players-word").textContent = players === 1 ? "player" : "players";
  }

  function newCell(at) {
    const [x, y] = [at % size, Math.floor(at / size)];
    const cell = element("button", { type: "button", tabindex: at ? -1 : 0 });
    cell.onclick = () => {
      // A second press with the same colour takes it away.
      const colour = Number(cell.dataset.colour) === chosen() ? 0 : chosen();
      sendJson(card, connection, { type: "paint", x, y, colour });
    };
    cell.onkeydown = (event) => {
      const [dx, dy] = ARROWS[event.key] ?? [0, 0];
      const [nx, ny] = [x + dx, y + dy];
      if ((dx || dy) && nx >= 0 && ny >= 0 && nx < size && ny < size) {
        event.preventDefault();
        cells[ny * size + nx].focus();
      }
    };
    // One field is in the tab order: the one that had the focus last.
    cell.onfocus = () => cells.forEach((other) => (other.tabIndex = other === cell ? 0 : -1));
    return cell;
  }

  NAMES.slice(1).forEach((name, at) => {
    const colour = at + 1;
    const radio = element("input", { type: "radio", name: "colour", value: colour, "aria-label": name });
    radio.checked = colour === 1;
    palette.append(element("label", { "data-colour": colour, title: name }, radio));
  });

  onMessages(card, connection, {
    board(message) {
      size = message.size;
      cells = message.cells.map((_, at) => newCell(at));
      message.cells.forEach((colour, at) => show(at % size, Math.floor(at / size), colour));
      fields.replaceChildren(...cells);
      palette.querySelector(`[value="${message.yours}"]`).checked = true;
      showPlayers(message.players);
    },
    painted: ({ x, y, colour }) => show(x, y, colour),
    cleared: () => cells.forEach((_, at) => show(at % size, Math.floor(at / size), 0)),
    players: ({ players }) => showPlayers(players),
  });

  card.querySelector("[data-action=clear]").onclick = () => sendJson(card, connection, { type: "clear" });
}
