// A WebSocket that can be closed, opened again, and that comes back by itself after it was lost.
//
// Events: "state", "message" (detail: the text), "sent", "closed" (detail: {code, reason, clean}).

const FIRST_WAIT = 500; // milliseconds; doubled by every try, up to the last
const LAST_WAIT = 20000;
const SETTLED = 5000; // open for so long, a connection starts again with the first wait
const FUTILE = 3; // tries of a connection that was never open; then nobody answers there

export class Connection extends EventTarget {
  // One of: closed, connecting, open, closing, waiting (for the next try), failed.
  state = "closed";
  sent = 0;
  received = 0;
  lastClose = null;
  wait = 0;

  #url;
  #subprotocol;
  #socket = null;
  #wanted = false;
  #everOpen = false;
  #tries = 0;
  #timer = 0;

  constructor(url, subprotocol) {
    super();
    this.#url = url;
    this.#subprotocol = subprotocol;
  }

  // Whether it is open or shall be.
  get wanted() {
    return this.#wanted;
  }

  get subprotocol() {
    return this.#socket?.protocol ?? "";
  }

  connect() {
    if (this.#wanted && this.state !== "waiting") {
      return;
    }
    this.#wanted = true;
    this.#tries = 0;
    if (this.state !== "closing") {
      this.#open();
    }
  }

  disconnect(code = 1000, reason = "") {
    this.#wanted = false;
    clearTimeout(this.#timer);
    if (this.state === "open" || this.state === "connecting") {
      this.#become("closing");
      this.#socket.close(code, reason);
    } else if (this.state !== "closing") {
      this.#become("closed");
    }
  }

  // A new connection, once the old one has said good bye.
  reconnect() {
    this.disconnect(1000, "reconnecting");
    this.connect();
  }

  // Whether it could be sent.
  send(text) {
    if (this.state !== "open") {
      return false;
    }
    this.#socket.send(text);
    this.sent += 1;
    this.#tell("sent");
    return true;
  }

  #open() {
    clearTimeout(this.#timer);
    this.#become("connecting");
    const socket = new WebSocket(this.#url, this.#subprotocol ? [this.#subprotocol] : []);
    this.#socket = socket;
    socket.onopen = () => {
      this.#everOpen = true;
      this.#timer = setTimeout(() => (this.#tries = 0), SETTLED);
      this.#become("open");
    };
    socket.onmessage = (event) => {
      this.received += 1;
      this.#tell("message", event.data);
    };
    socket.onclose = (event) => this.#closed(event);
  }

  #closed({ code, reason, wasClean }) {
    clearTimeout(this.#timer);
    // A try that never opened (1006) says nothing of how the last connection ended.
    if (this.state !== "connecting" || this.lastClose === null) {
      this.lastClose = { code, reason, clean: wasClean };
      this.#tell("closed", this.lastClose);
    }
    if (!this.#wanted) {
      this.#become("closed");
    } else if (this.state === "closing") {
      this.#open();
    } else if (!this.#everOpen && this.#tries + 1 >= FUTILE) {
      this.#wanted = false;
      this.#become("failed");
    } else {
      // Half of the wait is chance, so that not all pages come back at the same moment.
      this.wait = Math.min(FIRST_WAIT * 2 ** this.#tries, LAST_WAIT) * (0.5 + Math.random() / 2);
      this.#tries += 1;
      this.#timer = setTimeout(() => this.#open(), this.wait);
      this.#become("waiting");
    }
  }

  #become(state) {
    this.state = state;
    this.#tell("state");
  }

  #tell(type, detail = null) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
