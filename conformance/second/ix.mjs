#!/usr/bin/env node
// The command line of the second implementation. SIMULATION - synthetic data only.

import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { Refusal, isObject, parseJson, parseTime } from "./lib/encoding.mjs";
import { Directory } from "./lib/directory.mjs";
import { parseContent } from "./lib/content.mjs";
import { openIdentity, sealIdentity } from "./lib/identity.mjs";
import { readIdentity, readRoleKeys } from "./lib/keyfile.mjs";
import * as message from "./lib/message.mjs";
import { pseudonym } from "./lib/sealing.mjs";
import { auditExport } from "./lib/audit.mjs";
import { judgeEvidence } from "./lib/evidence.mjs";
import { reconcile } from "./lib/reconcile.mjs";
import { runCases } from "./lib/cases.mjs";

const HELP = `ix.mjs: a second implementation of ix/1, from the specification alone. SIMULATION - synthetic data only.

  node ix.mjs seal CONTENT --key FILE --trust FILE --fed ID --to AGENCY... --agreement DIGEST --out FILE
                  [--purpose CODE] [--crime CODE] [--class CODE] [--handling CODE...] [--officer ID] [--re DIGEST]
                  [--exempt CODE] [--identity FILE...] [--days N] [--at TIME]
  node ix.mjs open ENVELOPE-OR-PARCEL --key FILE --trust FILE --fed ID [--at TIME]
  node ix.mjs identity ENVELOPE-OR-PARCEL --part ID --role-key FILE --officer ID --key FILE --trust FILE --fed ID
  node ix.mjs inspect ENVELOPE [--trust FILE --fed ID] [--at TIME]
  node ix.mjs verify-log FOLDER --fed ID [--at TIME]
  node ix.mjs reconcile FOLDER --fed ID --ledger FOLDER... [--at TIME]      a log against the ledgers of agencies
  node ix.mjs evidence FILE --fed ID [--at TIME]      what a node kept as evidence: does it convict, and whom
  node ix.mjs decide CASES [--case NAME]      decides the cases of tests/vectors/decisions.json; explains one

The passphrase of a key file is read from --passphrase-file, else from the variable IX_PASSPHRASE; an officer's, for a
role key, from --officer-passphrase-file, else from IX_OFFICER_PASSPHRASE.
Exit codes: 0 good, 1 refused or findings, 2 wrong use.
`;

const text = { type: "string" };
const many = { type: "string", multiple: true };
const OPTIONS = {
  key: text, trust: text, fed: text, to: many, agreement: text, out: text, purpose: text, crime: text, class: text,
  handling: many, officer: text, re: text, days: text, at: text, case: text, exempt: text,
  identity: many, ledger: many, part: text, "role-key": text, "passphrase-file": text, "officer-passphrase-file": text,
  help: { type: "boolean" },
};
const COMMANDS = { seal, open, identity, inspect, "verify-log": verifyLog, reconcile: reconciled, evidence, decide };

function now({ at }) {
  return at === undefined ? Date.now() : parseTime(at);
}

function need(options, ...names) {
  for (const name of names) {
    if (options[name] === undefined) throw new TypeError(`--${name} is needed`);
  }
}

function directory(options) {
  need(options, "trust", "fed");
  return Directory.parse(readFileSync(options.trust), options.fed, now(options));
}

function passphrase(file, variable) {
  return file ? readFileSync(file, "utf8").split("\n")[0] : process.env[variable];
}

function holder(options) {
  need(options, "key");
  return readIdentity(options.key, passphrase(options["passphrase-file"], "IX_PASSPHRASE"));
}

async function seal(path, options) {
  need(options, "to", "agreement", "out");
  const me = holder(options);
  const draft = {
    from: me.id, to: options.to, agr: options.agreement, purpose: options.purpose, crime: options.crime,
    class: options.class ?? "restricted", handling: options.handling && [...new Set(options.handling)].sort(),
    re: options.re, exempt: options.exempt, by: pseudonym(me.pseudonym, options.officer ?? "offline"),
    days: Number(options.days ?? 7),
  };
  const trusted = directory(options);
  const content = await withIdentities(readFileSync(path), draft, options, trusted);
  const envelope = await message.sealMessage(content, draft, me.signer, trusted, now(options));
  message.judgeEnvelope(envelope, trusted, now(options));
  writeFileSync(options.out, envelope);
}

/** CNT-70: the content with a sealed part more for each identity given. */
async function withIdentities(bytes, draft, options, trusted) {
  if (options.identity === undefined) return bytes;
  const content = parseContent(bytes);
  const parts = [];
  for (const file of options.identity) {
    parts.push(await sealIdentity(readFileSync(file), content, draft, trusted, now(options)));
  }
  return Buffer.from(JSON.stringify({ ...content, sealed_parts: [...(content.sealed_parts ?? []), ...parts] }));
}

async function opened(path, options) {
  const me = { ...holder(options), seen: [] };
  const [bytes, trusted, at] = [readFileSync(path), directory(options), now(options)];
  const value = parseJson(bytes, Infinity);
  if (isObject(value) && "kind" in value) return message.openParcel(value, me, trusted, at);
  process.stderr.write("no proof that this envelope was logged: a node would not open it\n");
  return message.openEnvelope(bytes, me, trusted, at);
}

async function open(path, options) {
  process.stdout.write((await opened(path, options)).content);
}

/** SAFE-1: only with an officer's own passphrase. */
async function identity(path, options) {
  need(options, "part", "role-key", "officer");
  const { manifest, content } = await opened(path, options);
  const it = parseContent(content);
  const part = (it.sealed_parts ?? []).find((one) => one.id === options.part);
  if (!part) throw new TypeError(`no sealed part ${options.part}`);
  const secret = passphrase(options["officer-passphrase-file"], "IX_OFFICER_PASSPHRASE");
  const role = readRoleKeys(options["role-key"], options.officer, secret);
  const of = { fed: manifest.fed, from: manifest.from, reference: it.case.reference };
  process.stdout.write(await openIdentity(part, of, role));
}

function inspect(path, options) {
  const bytes = readFileSync(path);
  const trusted = options.trust && directory(options);
  const it = trusted ? message.judgeEnvelope(bytes, trusted, now(options)) : message.parseEnvelope(bytes);
  const { sent, expires, digest, ...manifest } = it.manifest;
  process.stdout.write(`${JSON.stringify({ message: digest, signatures_judged: Boolean(trusted), manifest }, null, 1)}\n`);
}

function verifyLog(path, options) {
  need(options, "fed");
  const report = auditExport((name) => fileOf(join(path, name)), options.fed, now(options));
  process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
  if (!report.clean) process.exitCode = 1;
}

function reconciled(path, options) {
  need(options, "fed", "ledger");
  const ledgers = options.ledger.map((folder) => ({ file: (name) => fileOf(join(folder, name)), names: namesIn(join(folder, "proofs")) }));
  const report = reconcile((name) => fileOf(join(path, name)), options.fed, now(options), ledgers);
  process.stdout.write(`${JSON.stringify(report, null, 1)}\n`);
  if (!report.clean) process.exitCode = 1;
}

function evidence(path, options) {
  need(options, "fed");
  const found = judgeEvidence(readFileSync(path), options.fed, now(options));
  process.stdout.write(`${JSON.stringify(found, null, 1)}\n`);
  if (found.some((one) => one.code)) process.exitCode = 1;
}

function namesIn(folder) {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** AGR-68. A case that comes out otherwise is printed with both answers. */
function decide(path, options) {
  const cases = runCases(readFileSync(path)).filter(({ name }) => options.case === undefined || name === options.case);
  if (cases.length === 0) throw new TypeError(`no case ${options.case}`);
  const plain = (value) => JSON.parse(JSON.stringify(value)); // what was parsed strictly has no prototype
  const failed = cases.filter(({ found, expected }) => !isDeepStrictEqual(plain(found), plain(expected)));
  for (const { name, found, expected } of failed) {
    process.stderr.write(`${name}\n  expected ${JSON.stringify(expected)}\n  found    ${JSON.stringify(found)}\n`);
  }
  if (options.case !== undefined) {
    const [{ found, explained }] = cases;
    process.stdout.write(`${JSON.stringify({ ...found, explained }, null, 1)}\n`);
  }
  process.stdout.write(`${cases.length - failed.length} passed, ${failed.length} failed\n`);
  if (failed.length > 0) process.exitCode = 1;
}

function fileOf(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** `--fed -dTQ...` as `--fed=-dTQ...`: one digest in 64 begins with a dash, which parseArgs takes for an option. */
function joined(args) {
  const takesValue = (arg) => arg.startsWith("--") && OPTIONS[arg.slice(2)]?.type === "string";
  const [first, second, ...rest] = args;
  if (first === undefined) return [];
  if (takesValue(first) && second !== undefined) return [`${first}=${second}`, ...joined(rest)];
  return [first, ...joined(args.slice(1))];
}

async function main() {
  const args = joined(process.argv.slice(2));
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  const [name, path] = positionals;
  if (values.help || positionals.length !== 2 || !Object.hasOwn(COMMANDS, name)) {
    process.stderr.write(HELP);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  await COMMANDS[name](path, values);
}

try {
  await main();
} catch (error) {
  if (error instanceof Refusal) {
    process.stderr.write(`${error.code}: ${error.message}\n`);
    process.exitCode = 1;
  } else if (error instanceof TypeError || error.code?.startsWith("ERR_PARSE_ARGS") || error.code === "ENOENT") {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  } else throw error;
}
