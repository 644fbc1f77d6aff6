// The same lookup as a Node function: API key, location, one usage line. The API key's record is known.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The packages are installed elsewhere, below target/.
const { Reader } = createRequire(process.env.PEER_MODULES)("maxmind");

const database = new Reader(readFileSync(process.env.IPGEO_GEO_DATABASE));
const records = new Map();

function record(identity) {
  if (!records.has(identity)) records.set(identity, { tier: { S: "startup" } });
  return records.get(identity);
}

const answer = (statusCode, body) => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

export const handler = async (event) => {
  const path = event.rawPath.replace(/^\/+|\/+$/g, "");
  if (path === "health") return answer(200, { status: "ok" });
  const identity = "key#" + createHash("sha256").update(event.headers["x-api-key"]).digest("hex");
  const found = record(identity);
  const location = database.get(path);
  if (location === null) return answer(404, { message: "not known" });
  const line = { ipgeo: 1, c: identity, t: found.tier.S, r: event.requestContext.requestId };
  process.stdout.write(JSON.stringify(line) + "\n");
  return answer(200, { ip: path, ...location });
};
