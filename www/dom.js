// What the cards need of the document.

export function field(within, name) {
  return within.querySelector(`[data-field="${name}"]`);
}

// An element with text and attributes; a value that came over the wire only ever becomes text.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Add a line to a log and keep its end in sight, unless the reader has scrolled up; older lines go.
export function addLine(log, line, most = 100) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  log.append(line);
  while (log.childElementCount > most) {
    log.firstElementChild.remove();
  }
  if (atEnd) {
    log.scrollTop = log.scrollHeight;
  }
}

// Draw values, oldest first, as a line over the full width of an SVG with a viewBox of 200 by 40.
export function drawSpark(svg, values, low = Math.min(...values), high = Math.max(...values)) {
  const across = 200 / Math.max(values.length - 1, 1);
  const tall = Math.max(high - low, 1e-9);
  const points = values.map((value, at) => `${(at * across).toFixed(1)},${(37 - (34 * (value - low)) / tall).toFixed(1)}`);
  svg.querySelector("polyline").setAttribute("points", points.join(" "));
}

export function newSpark(label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 200 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
  return svg;
}
