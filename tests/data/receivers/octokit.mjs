// Verifies a request as GitHub's own library does, and its body against GitHub's own schema:
// formats checked, no keys besides. Reads {event, body, signature, secret} as JSON.
import { verify } from "@octokit/webhooks-methods";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(import.meta.url);
const Ajv = require("ajv").default;
const formats = require("ajv-formats").default;
const schema = require("@octokit/webhooks-schemas/schema.json");

const { event, body, signature, secret } = JSON.parse(readFileSync(0, "utf8"));
if (!(await verify(secret, body, signature))) {
  console.log("refused");
  process.exit(0);
}
const ajv = new Ajv({ strict: false, allErrors: true });
formats(ajv);
ajv.addSchema(schema, "s");
const valid = ajv.compile({ $ref: `s#/definitions/${encodeURIComponent(`${event}$event`)}` });
console.log(valid(JSON.parse(body)) ? "valid" : JSON.stringify(valid.errors));
