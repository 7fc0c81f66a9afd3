// What the codes of a WebSocket's Close mean: RFC 6455 section 7.4.1 and IANA's registry.

const MEANINGS = {
  1000: "normal",
  1001: "going away",
  1002: "protocol error",
  1003: "unsupported data",
  1005: "no code given",
  1006: "lost without a Close",
  1007: "invalid payload",
  1008: "policy violation",
  1009: "message too big",
  1010: "extension missing",
  1011: "server error",
  1012: "service restart",
  1013: "try again later",
  1014: "bad gateway",
  1015: "TLS failed",
};

export function describe({ code, reason }) {
  const meaning = MEANINGS[code] ?? (code >= 4000 ? "private use" : code >= 3000 ? "registered use" : "unknown");
  return reason ? `${code} ${meaning}: “${reason}”` : `${code} ${meaning}`;
}
