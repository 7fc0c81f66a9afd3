// Prices: a row for each symbol, its last minute as a line, and a box that subscribes to it.

import { onMessages, sendJson } from "./card.js";
import { drawSpark, element, field, newSpark } from "./dom.js";

const KEPT = 60;

export function start(card, connection) {
  const body = card.querySelector("tbody");
  const rows = new Map();

  function newRow(symbol, prices) {
    const box = element("input", { type: "checkbox", name: symbol });
    box.checked = true;
    box.onchange = () => {
      sendJson(card, connection, { type: box.checked ? "subscribe" : "unsubscribe", symbols: [symbol] });
    };
    const price = element("td", { class: "number figure" });
    const change = element("td", { class: "number figure" });
    const spark = newSpark(`The last minute of ${symbol}`);
    const row = element(
      "tr",
      { "data-symbol": symbol },
      element("th", { scope: "row" }, element("label", { class: "check" }, box, symbol)),
      price,
      change,
      element("td", {}, spark),
    );
    return { row, box, price, change, spark, prices };
  }

  function show({ row, price, change, spark, prices }) {
    const now = prices.at(-1);
    const share = (100 * (now - prices[0])) / prices[0];
    row.dataset.trend = share < 0 ? "down" : "up";
    price.textContent = now.toFixed(2);
    change.textContent = `${share < 0 ? "▼" : "▲"} ${Math.abs(share).toFixed(1)} %`;
    drawSpark(spark, prices);
  }

  onMessages(card, connection, {
    symbols({ history }) {
      rows.clear();
      for (const [symbol, prices] of Object.entries(history)) {
        rows.set(symbol, newRow(symbol, prices));
        show(rows.get(symbol));
      }
      body.replaceChildren(...[...rows.values()].map(({ row }) => row));
    },
    subscribed({ symbols }) {
      for (const [symbol, { row, box }] of rows) {
        box.checked = symbols.includes(symbol);
        row.dataset.subscribed = box.checked;
      }
    },
    prices({ tick, prices }) {
      field(card, "tick").textContent = tick;
      card.dataset.tick = tick;
      for (const [symbol, price] of Object.entries(prices)) {
        const row = rows.get(symbol);
        row.prices = [...row.prices, price].slice(-KEPT);
        show(row);
      }
    },
  });
}
