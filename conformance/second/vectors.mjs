// Judges every test vector, and prints what this implementation made of it: one JSON object, by vector.
//
//   node vectors.mjs tests/vectors keys|messages|log|edges|acts|decisions|books
//   node vectors.mjs EXPORTS audits      any number of exports, each with `told.json`: the federation and the time
//   node vectors.mjs FOLDER evidence     one file of evidence of WIT-54, `evidence.json`, beside `told.json`
//   node vectors.mjs BOOKS several       the same of logs, each with the ledgers of some agencies beside it
//
// It does not look at the answers the vectors give; the caller compares. Refused: the code. Taken: the value.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  Refusal, ascii, b64u, check, digest, parseJson, parseTime, sha256, unb64u,
} from "./lib/encoding.mjs";
import { checkEd25519, parseStatement, signer, verify, verifyPair } from "./lib/signing.mjs";
import * as seal from "./lib/sealing.mjs";
import { Directory, counts, printable } from "./lib/directory.mjs";
import * as message from "./lib/message.mjs";
import { categories, parseContent } from "./lib/content.mjs";
import {
  checkConsistency, checkInclusion, inclusionPath, leafHash, openCheckpoint, readEntry, tilePath, tilesOf, treeRoot,
  verifyProof, vkeys,
} from "./lib/log.mjs";
import { openAct, readAct } from "./lib/acts.mjs";
import { runCases } from "./lib/cases.mjs";
import { readTerms } from "./lib/terms.mjs";
import { openHead } from "./lib/heads.mjs";
import { openReceipts } from "./lib/receipts.mjs";
import { auditExport } from "./lib/audit.mjs";
import { judgeEvidence } from "./lib/evidence.mjs";
import { reconcile } from "./lib/reconcile.mjs";

const place = process.argv[2];
const load = (name) => parseJson(readFileSync(join(place, name)), Infinity);
const again = (value) => Buffer.from(JSON.stringify(value));

/** The code of a refusal, or what came out. */
async function outcome(act) {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

// --- keys.json -------------------------------------------------------------------------------------------------------

async function judgeKeys() {
  const it = load("keys.json");
  const found = { base64url: {}, times: {}, json: {}, digest: {}, keys: {}, statements: {}, chunked: [], padded: {} };
  for (const text of [...Object.keys(it.base64url.read), ...it.base64url.refused]) {
    found.base64url[text] = await outcome(() => unb64u(text).toString("hex"));
  }
  for (const text of [...Object.keys(it.times.read), ...it.times.refused]) {
    found.times[text] = await outcome(() => parseTime(text));
  }
  for (const text of Object.keys(it.json.refused)) found.json[text] = await outcome(() => parseJson(Buffer.from(text), 262144));
  for (const text of Object.keys(it.digest)) found.digest[text] = digest(Buffer.from(text));
  const publics = {};
  for (const [label, key] of Object.entries(it.keys)) {
    const [seed, use] = [unb64u(key.seed), label.split(" ").at(-1)];
    const made = sha256(ascii(`ix/1 test vector ${label}`));
    found.keys[label] = { seed: b64u(made), ...publicOf(use, seed) };
    publics[found.keys[label].kid] = unb64u(found.keys[label].public);
  }
  const judge = (json) => outcome(() => {
    const statement = parseStatement(again(json));
    for (const pair of statement.pairs) verifyPair(pair, statement.encoded, it.statement.typ, (id) => publics[id]);
    return statement.payload.toString();
  });
  found.statement = await judge(it.statement.json);
  for (const { why, json } of it.statements_refused) found.statements[why] = await judge(json);
  const seed = unb64u(it.keys[it.wrap.to].seed);
  found.wrap = b64u(await seal.unwrapKey(seed, unb64u(it.wrap.wrap), unb64u(it.wrap.context)));
  for (const one of it.chunked) {
    const [key, context] = [unb64u(one.input_key), ascii(one.context)];
    const plaintext = Buffer.from(Array.from({ length: one.length }, (_, i) => i % 251));
    const body = seal.sealBody(plaintext, key, unb64u(one.salt), context);
    found.chunked.push({ sha256: digest(body), body: b64u(body), length: seal.openBody(body, key, context).length });
  }
  found.body = await judgeBody(it.body);
  for (const length of Object.keys(it.padded_lengths)) found.padded[length] = seal.padded(Number(length));
  found.pseudonym = seal.pseudonym(unb64u(it.pseudonym.key), it.pseudonym.value);
  found.federation = await judgeFederation(it.federation);
  return found;
}

function publicOf(use, seed) {
  if (use === "opening") {
    const key = seal.opening(seed);
    return { public: b64u(key.pub), kid: key.kid, expanded: b64u(key.expanded) };
  }
  const pair = signer(seed, seed);
  const i = use === "mldsa44" ? 1 : 0;
  return { public: b64u(pair.publics[i]), kid: pair.kids[i] };
}

function judgeBody(it) {
  const [cek, ctx, k] = [it.content_key, it.context, it.commitment_key].map((text) => unb64u(text));
  const content = Buffer.from(it.content);
  const body = seal.sealBody(seal.layOut(k, content), cek, unb64u(it.salt), seal.bodyContext(ctx));
  const opened = seal.takeApart(seal.openBody(unb64u(it.body), cek, seal.bodyContext(ctx)));
  return { body: b64u(body), content: opened.content.toString(), commitment: b64u(seal.commitment(k, ctx, content)) };
}

async function judgeFederation(it) {
  const now = parseTime(it.now);
  const directory = new Directory(it.directory, it.fed, now);
  const found = { agencies: [...directory.agencies.keys()].sort(), signing_keys_at: [], roots: {} };
  for (const { at } of it.signing_keys_at) {
    const instant = parseTime(at);
    const keys = directory.newest("north.police.sim").keys.filter((key) => key.use === "sig");
    const word = (alg) => (keys.some((key) => key.alg === alg && counts(key, instant)) ? "counts" : "key_not_valid");
    found.signing_keys_at.push([word("Ed25519"), word("ML-DSA-44")]);
  }
  for (const { why, json, fed } of it.roots_refused) {
    found.roots[why] = await outcome(() => new Directory({ roots: [json], records: [] }, fed, now) && "taken");
  }
  return found;
}

// --- messages --------------------------------------------------------------------------------------------------------

async function judgeMessages() {
  const parties = load("messages/parties.json");
  const all = load("messages/good.json");
  const open = (now) => new Directory(parties.directory, parties.fed, now);
  const holder = (id, seen) => ({ id, seen, openings: [seal.opening(unb64u(parties.parties[id].sealing_seed))] });
  const found = { parties: {}, good: {}, bad_envelopes: {}, bad_parcels: {} };
  found.parties.vkeys = vkeys(open(parseTime(all.messages[0].at)).root.log);
  for (const [id, it] of Object.entries(parties.parties)) {
    const keys = signer(unb64u(it.ed25519_seed), unb64u(it.mldsa44_seed));
    const enc = seal.opening(unb64u(it.sealing_seed));
    found.parties[id] = [...keys.kids, enc.kid, b64u(enc.pub)];
  }
  for (const it of all.messages) found.good[it.name] = await judgeGood(it, open, holder);
  for (const it of load("messages/bad_envelopes.json").vectors) {
    const now = parseTime(it.at);
    const judge = () => message.judgeEnvelope(Buffer.from(it.envelope), open(now), now) && "taken";
    found.bad_envelopes[it.name] = await outcome(judge);
  }
  for (const it of load("messages/bad_parcels.json").vectors) {
    const now = parseTime(it.now);
    const me = { ...holder(it.me, it.seen), standing: () => LAPSED[it.standing] };
    const judge = async () => (await message.openParcel(it.parcel, me, open(now), now)) && "taken";
    found.bad_parcels[it.name] = await outcome(judge);
  }
  return found;
}

/** AGR-33's code for each state of AGR-18. */
const LAPSED = { unknown: "agreement_unknown", not_yet: "agreement_not_in_force", left: "agreement_not_in_force",
  expired: "agreement_expired", superseded: "agreement_superseded", suspended: "agreement_suspended" };

async function judgeGood(it, open, holder) {
  const at = parseTime(it.at);
  const { manifest } = message.judgeEnvelope(Buffer.from(it.envelope), open(at), at);
  const ctx = message.context(manifest);
  const hex = (text) => Buffer.from(text, "hex");
  const plaintext = seal.layOut(hex(it.commitment_key), Buffer.from(it.content));
  const body = seal.sealBody(plaintext, hex(it.content_key), hex(it.body_salt), seal.bodyContext(ctx));
  const opened = {};
  for (const [id, parcel] of Object.entries(it.parcels)) {
    const now = parseTime(it.open_at);
    opened[id] = (await message.openParcel(parcel, holder(id, []), open(now), now)).content.toString();
  }
  return {
    context_lines: message.contextLines(manifest), ctx: ctx.toString("hex"), message: manifest.digest, opened,
    wrap_info: seal.wrapInfo(ctx).toString("hex"), body_context: seal.bodyContext(ctx).toString("hex"),
    plaintext_length: plaintext.length, plaintext_sha256: digest(plaintext), body_length: body.length,
    body_commitment: body.subarray(24, 56).toString("hex"), body: digest(body),
    commit: b64u(seal.commitment(hex(it.commitment_key), ctx, Buffer.from(it.content))),
    categories: categories(parseContent(Buffer.from(it.content))),
  };
}

// --- log -------------------------------------------------------------------------------------------------------------

async function judgeLog() {
  const tree = load("log/tree.json");
  const expected = load("log/expected.json");
  const leaves = Array.from({ length: 70000 }, (_, i) => leafHash(ascii(`entry ${i}`)));
  const found = { roots: {}, edge: {}, inclusion: [], consistency: [] };
  for (const size of Object.keys(tree.roots)) found.roots[size] = b64u(treeRoot(leaves.slice(0, Number(size))));
  for (const size of Object.keys(tree.edge)) {
    found.edge[size] = [0, 1, 2, 3].flatMap((level) => {
      const [n, width] = tilesOf(Number(size), level).at(-1) ?? [0, 256];
      return width < 256 ? [tilePath(level, n, width)] : [];
    });
  }
  for (const { index, size, proof } of tree.inclusion) {
    const hashes = leaves.slice(0, size);
    const ours = inclusionPath(index, hashes).map(b64u);
    const judge = () => checkInclusion(leaves[index], index, size, proof.map((one) => unb64u(one)), treeRoot(hashes)) ?? "taken";
    found.inclusion.push({ ours, theirs: await outcome(judge) });
  }
  for (const { old, size, proof } of tree.consistency) {
    const path = proof.map((one) => unb64u(one));
    const [was, is] = [treeRoot(leaves.slice(0, old)), treeRoot(leaves.slice(0, size))];
    const judge = (first, second) => outcome(() => checkConsistency(old, size, path, first, second) ?? "taken");
    found.consistency.push([await judge(was, is), await judge(is, was)]);
  }
  found.report = await auditExport((name) => fileOf(name), expected.fed, parseTime(expected.now));
  const lies = await auditExport((name) => fileOf(name, "lies"), expected.fed, parseTime(expected.lies.now));
  found.lies = lies.findings.map((one) => [one.code, one.index]);
  found.edits = [];
  for (const edit of expected.edits) {
    const report = await auditExport((name) => edited(name, edit), expected.fed, parseTime(expected.now));
    found.edits.push(report.findings.map((one) => [one.code, one.index]));
  }
  return found;
}

const fileOf = (name, folder = "export") => read(join(place, "log", folder, name));

function read(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

function edited(name, { file, find, replace }) {
  if (name !== file) return fileOf(name);
  if (find === null) return undefined;
  return Buffer.from(fileOf(name).toString("latin1").replace(find, replace), "latin1");
}

// --- edges.json ------------------------------------------------------------------------------------------------------

async function judgeEdges() {
  const it = load("edges.json");
  const parties = load("messages/parties.json");
  const at = (time) => new Directory(parties.directory, parties.fed, parseTime(time));
  const log = at(it.notes.now).root.log;
  const found = {};
  const judge = async (place, name, act) => {
    (found[place] ??= {})[name] = await outcome(async () => (await act()) && "taken");
  };
  const all = async (place, act) => {
    for (const one of it[place].vectors ?? it[place]) await judge(place, one.name, async () => (await act(one)) ?? true);
  };
  for (const text of Object.keys(it.times)) await judge("times", text, () => parseTime(text) ?? true);
  for (const text of Object.keys(it.json)) await judge("json", text, () => parseJson(Buffer.from(text), 1000));
  for (const text of [...it.printable.taken, ...it.printable.refused]) {
    await judge("printable", text, () => check(printable(text), "refused", "KEY-21") ?? true);
  }
  await all("ed25519", (one) => {
    const pub = checkEd25519(unb64u(one.public));
    check(verify("Ed25519", pub, unb64u(one.message), unb64u(one.signature)), "signature_invalid", "KEY-1");
  });
  await all("federations", ({ roots, records, fed }) => {
    const [a, b] = [roots, records].map((names) => names.map((name) => it.federations.statements[name]));
    return new Directory({ roots: a, records: b }, fed, parseTime(it.federations.now));
  });
  await all("envelopes", ({ set }) => {
    const { base, at: time } = it.envelopes;
    return message.judgeEnvelope(again(changed(base, set)), at(time), parseTime(time));
  });
  await all("parcels", ({ set }) => {
    const { base, me, now } = it.parcels;
    const holder = { id: me, openings: [seal.opening(unb64u(parties.parties[me].sealing_seed))] };
    return message.openParcel(changed(base, set), holder, at(now), parseTime(now));
  });
  await all("contents", ({ content }) => parseContent(Buffer.from(content)));
  const small = JSON.parse(it.contents.vectors[0].content);
  for (const line of [...it.contents.lines.taken, ...it.contents.lines.refused]) {
    small.narrative[0].text = line;
    await judge("lines", line, () => parseContent(again(small)));
  }
  await all("notes", (one) => openCheckpoint(filled(one, one.note), log));
  await all("proofs", (one) => verifyProof(filled(one, one.proof), unb64u(it.proofs.entry), log));
  await all("entries", ({ entry }) => readEntry(Buffer.from(entry)));
  const trust = new Directory(it.heads.trust, parties.fed, parseTime(it.receipts.at));
  await all("heads", ({ note, at: time }) => openHead(Buffer.from(note), it.heads.agency, trust, parseTime(time)));
  await all("receipts", ({ batch }) => openReceipts(batch, at(it.receipts.at), parseTime(it.receipts.at)));
  await all("agreements", ({ payload }) => readTerms(Buffer.from(payload)));
  return found;
}

// --- acts.json, decisions.json ---------------------------------------------------------------------------------------

async function judgeActs() {
  const it = load("acts.json");
  const parties = load("messages/parties.json");
  const found = { accepted: {}, malformed: {}, refused: {} };
  const open = ({ at, statement }) => {
    const now = parseTime(at);
    return openAct(parseJson(Buffer.from(statement), 262144), new Directory(parties.directory, it.fed, now), now);
  };
  for (const one of it.accepted) found.accepted[one.name] = await outcome(() => open(one).digest);
  for (const one of it.malformed) found.malformed[one.name] = await outcome(() => readAct(Buffer.from(one.payload)) && "taken");
  for (const one of it.refused) found.refused[one.name] = await outcome(() => open(one) && "taken");
  return found;
}

/** The cases of AGR-68, each as `expected` is written. */
function judgeDecisions() {
  return Object.fromEntries(runCases(readFileSync(join(place, "decisions.json"))).map((it) => [it.name, it.found]));
}

// --- exports ---------------------------------------------------------------------------------------------------------

async function judgeExports() {
  const found = {};
  for (const name of readdirSync(place).sort()) {
    const { fed, now } = load(join(name, "told.json"));
    const file = (path) => read(join(place, name, path));
    const { clean, findings, followed } = auditExport(file, fed, parseTime(now));
    found[name] = { clean, findings: findings.map((one) => [one.code, one.index]), followed };
  }
  return found;
}

// --- the three books -------------------------------------------------------------------------------------------------

function booksIn(folder, { fed, now, ledgers }, edit) {
  const file = (name) => {
    const bytes = read(join(place, folder, name));
    return name === edit?.file ? Buffer.from(bytes.toString("latin1").replace(edit.find, edit.replace), "latin1") : bytes;
  };
  const names = (agency) => readdirSync(join(place, folder, agency, "proofs")).sort();
  const folders = ledgers.map((agency) => ({ file: (name) => file(`${agency}/${name}`), names: names(agency) }));
  const said = reconcile((name) => file(`log/${name}`), fed, parseTime(now), folders);
  return { ...said, charges: said.findings.map((one) => [one.code, one.who]).sort() };
}

function judgeBooks() {
  const { honest, lying, edits, ledgers } = load("books/expected.json");
  const found = { edits: edits.map((edit) => booksIn("books/honest", { ...honest, ledgers }, edit).charges) };
  for (const [name, told] of [["honest", honest], ["lying", lying]]) found[name] = booksIn(`books/${name}`, { ...told, ledgers });
  return found;
}

function judgeSeveral() {
  const all = readdirSync(place).sort();
  return Object.fromEntries(all.map((name) => [name, booksIn(name, load(join(name, "told.json")))]));
}

function judgeFile() {
  const { fed, now } = load("told.json");
  return judgeEvidence(readFileSync(join(place, "evidence.json")), fed, parseTime(now));
}

const filled = ({ pad = 0 }, text) => text.replace("{pad}", "A".repeat(pad));

/** A copy of a value with other values at some places. */
function changed(base, edits) {
  const value = JSON.parse(JSON.stringify(base));
  for (const [path, to] of edits) {
    const place = path.slice(0, -1).reduce((at, step) => at[step], value);
    place[path.at(-1)] = to;
  }
  return value;
}

const parts = { edges: judgeEdges, keys: judgeKeys, messages: judgeMessages, log: judgeLog, acts: judgeActs,
  decisions: judgeDecisions, audits: judgeExports, books: judgeBooks,
  several: judgeSeveral, evidence: judgeFile };
process.stdout.write(JSON.stringify(await parts[process.argv[3]]()));
