// Decisions as data: spec/agreements.md, AGR-68, run as spec/README.md says.

import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import { check, parseJson, parseTime } from "./encoding.mjs";
import { decide, explanation } from "./deciding.mjs";
import { Book } from "./policy.mjs";
import { readNotice, readTerms } from "./terms.mjs";

const SCHEMA = new URL("../../../spec/schemas/decision-cases.json", import.meta.url);
const schema = JSON.parse(readFileSync(SCHEMA, "utf8"));
const valid = new Ajv2020({ strict: false, validateFormats: false, unicodeRegExp: true }).compile(schema);

/** Each case of a file with what this implementation made of it: `found`, as `expected` is written, and `explained`. */
export function runCases(bytes) {
  const file = parseJson(bytes, Infinity);
  check(valid(file), "malformed", `AGR-68: ${valid.errors?.[0]?.instancePath} ${valid.errors?.[0]?.keyword}`);
  const agencies = new Map(file.agencies.map((one) => [one.id, one]));
  const statements = new Map();
  for (const [list, read] of [[file.agreements, readTerms], [file.notices, readNotice]]) {
    for (const { terms, digest } of list) {
      const it = read(Buffer.from(JSON.stringify(terms)));
      check(it.digest === digest, "malformed", "AGR-68: a digest of another text");
      statements.set(digest, it);
    }
  }
  return file.cases.map((it) => {
    const decision = run(it, statements, (id) => agencies.get(id));
    return { ...it, found: written(decision), explained: explanation(decision) };
  });
}

function run({ log, now, request }, statements, recordOf) {
  const book = new Book();
  for (const { statement, at } of log) {
    const it = statements.get(statement);
    if (it.typ === "agreement") book.enter(it, parseTime(at));
    else book.note(it, parseTime(at));
  }
  const timed = (consent) => ({ ...consent, until: parseTime(consent.until) });
  const sources = request.sources.map((one) => ({ ...one, consents: one.consents.map(timed) }));
  return decide(book, { ...request, sources }, recordOf, parseTime(now));
}

function written({ code, policy, to }) {
  const near = ({ agreement, clause, missed, caught }) => ({
    agreement: agreement.digest, clause: clause.id,
    ...(missed ? { missed: missed.map((one) => one.member) } : { caught }) });
  const recipients = to.map(({ id, code: own, clauses, obligations, nearest }) => ({
    id, code: own, clauses, ...(obligations && { obligations }), nearest: nearest.map(near) }));
  return { outcome: code === "permitted" ? "permit" : "deny", code, policy, recipients };
}
