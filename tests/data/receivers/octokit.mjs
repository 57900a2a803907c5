// Verifies requests as GitHub's own library does, and their bodies against GitHub's own schema:
// formats checked, no keys besides. Reads a list of {event, body, signature, secret} as JSON.
import { verify } from "@octokit/webhooks-methods";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(import.meta.url);
const Ajv = require("ajv").default;
const formats = require("ajv-formats").default;
const schema = require("@octokit/webhooks-schemas/schema.json");

const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
ajv.addSchema(schema, "s");
const known = {};
for (const { event, body, signature, secret } of JSON.parse(readFileSync(0, "utf8"))) {
  if (!(await verify(secret, body, signature))) {
    console.log("refused");
    continue;
  }
  const name = encodeURIComponent(`${event}$event`);
  known[event] ??= ajv.compile({ $ref: `s#/definitions/${name}` });
  console.log(known[event](JSON.parse(body)) ? "valid" : JSON.stringify(known[event].errors));
}
