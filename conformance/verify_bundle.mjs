// Verifies a file of evidence (`ix audit bundle`, spec/log.md LOG-73 to LOG-77). One file, Node.js 18 or later, no packages.
// It shares no code with what wrote the file. SIMULATION - synthetic data only.
//
//   node verify_bundle.mjs FILE --fed=ID [--at=2026-11-21T16:20:00Z]
//
// Exit codes: 0 all of it holds; 4 all that could be checked holds, but this Node.js has no ML-DSA-44, so of each pair
// only the Ed25519 signature was checked; 1 refused; 2 wrong use. Decisions are not made again here: see `LEFT_OUT`.

import { createHash, createPublicKey, generateKeyPairSync, sign, verify as check } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** Whether this Node.js (24.6 or later, with OpenSSL 3.5) can do with an ML-DSA-44 key all that is done here. */
export const HAS_ML_DSA = (() => {
  try {
    const { privateKey, publicKey } = generateKeyPairSync("ml-dsa-44");
    const [message, jwk] = [Buffer.from("ix"), publicKey.export({ format: "jwk" })];
    return jwk.kty === "AKP" && check(null, message, createPublicKey({ key: jwk, format: "jwk" }), sign(null, message, privateKey));
  } catch {
    return false;
  }
})();

const LEFT_OUT = [
  "decisions are not made again here: that each clause permits what was logged, `ix audit verify-bundle` checks",
  "whether somebody had the standing for an act, and kept its word that it erased something, likewise",
  "whether each record only added to the one before it (KEY-16), likewise; that it names it and who signed it was checked",
  "nothing shows that nothing is missing: other entries may be in the log that nobody chose for this file",
  "what was logged after the checkpoint, and what the messages said",
];
const MEMBERS = ["v", "typ", "messages", "checkpoint", "trust", "entries", "agreements", "notices", "acts", "receipts"];
const DIGEST = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/;
const PAIR = ["Ed25519", "ML-DSA-44"];
const SKEW = 5 * 60 * 1000;

class Refused extends Error {}
function must(condition, sentence) {
  if (!condition) throw new Refused(sentence);
}

const sha = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const b64u = (bytes) => Buffer.from(bytes).toString("base64url");
const digest = (bytes) => b64u(sha(bytes));
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function unb64(text, how) {
  must(typeof text === "string", "base64 that is no text");
  const bytes = Buffer.from(text, how);
  must(bytes.toString(how) === text, "base64 in another spelling");
  return bytes;
}

function json(bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw new Refused("not JSON in UTF-8");
  }
}

function time(text) {
  must(typeof text === "string" && TIME.test(text), "not a time");
  const ms = Date.parse(text);
  must(Number.isFinite(ms) && new Date(ms).toISOString().slice(0, 19) === text.slice(0, 19), "no such day or hour");
  return ms;
}

function object(value, names, what) {
  must(value !== null && typeof value === "object" && !Array.isArray(value), `${what} is no object`);
  if (names) must(same(Object.keys(value), names), `${what} has other members`);
  return value;
}

// --- signatures --------------------------------------------------------------------------------------------------------

const jwk = [
  (raw) => ({ kty: "OKP", crv: "Ed25519", x: b64u(raw) }),
  (raw) => ({ kty: "AKP", alg: "ML-DSA-44", pub: b64u(raw) }),
];
const kidOf = [
  (raw) => digest(`{"crv":"Ed25519","kty":"OKP","x":"${b64u(raw)}"}`),
  (raw) => digest(`{"alg":"ML-DSA-44","kty":"AKP","pub":"${b64u(raw)}"}`),
];

/** One half: 0 is Ed25519, 1 is ML-DSA-44. The second counts as good where this Node.js cannot check it. */
function signed(half, raw, message, signature) {
  must(raw.length === [32, 1312][half] && signature.length === [64, 2420][half], "a key or signature of another length");
  if (half === 1 && !HAS_ML_DSA) return;
  let good = false;
  try {
    good = check(null, message, createPublicKey({ key: jwk[half](raw), format: "jwk" }), signature);
  } catch {
    // a key that is none verifies nothing
  }
  must(good, `an ${PAIR[half]} signature does not verify`);
}

/** A statement taken apart: payload, its digest, and pairs of {kid, typ, message, signature}. */
function statement(value) {
  object(value, null, "a statement");
  must(same(Object.keys(value).sort(), ["payload", "signatures"]), "a statement has other members");
  const payload = unb64(value.payload, "base64url");
  must(Array.isArray(value.signatures) && value.signatures.length % 2 === 0 && value.signatures.length > 0, "no pairs");
  const halves = value.signatures.map((one, place) => {
    must(same(Object.keys(object(one, null, "a signature")).sort(), ["protected", "signature"]), "a signature's members");
    const head = object(json(unb64(one.protected, "base64url")), null, "a header");
    must(same(Object.keys(head).sort(), ["alg", "kid", "typ"]) && head.alg === PAIR[place % 2], "a header is another");
    const message = Buffer.from(`${one.protected}.${value.payload}`);
    return { kid: head.kid, typ: head.typ, message, signature: unb64(one.signature, "base64url") };
  });
  const pairs = [];
  for (let i = 0; i < halves.length; i += 2) pairs.push(halves.slice(i, i + 2));
  return { payload, said: json(payload), digest: digest(payload), pairs };
}

function verifyPair(pair, typ, keyOf) {
  pair.forEach((half, place) => {
    must(half.typ === typ, `not signed as ${typ}`);
    signed(place, keyOf(half.kid, place), half.message, half.signature);
  });
}

// --- trust -------------------------------------------------------------------------------------------------------------

const pairOf = (value) => {
  const raw = [unb64(value.ed25519, "base64url"), unb64(value.mldsa44, "base64url")];
  return { raw, kids: raw.map((one, half) => kidOf[half](one)) };
};

function signers(one, lists) {
  const seen = new Set();
  for (const pair of one.pairs) {
    const key = lists.flat().find((listed) => listed.kids.every((kid, half) => kid === pair[half].kid));
    must(key && !seen.has(key.kids[0]), "a root is signed by a key that is not listed, or twice by one");
    verifyPair(pair, "ix-root+jws", (_, half) => key.raw[half]);
    seen.add(key.kids[0]);
  }
  return (list) => list.filter((key) => seen.has(key.kids[0])).length;
}

function roots(values, fed, now) {
  must(Array.isArray(values) && values.length > 0, "no root");
  let before;
  for (const [place, value] of values.entries()) {
    const one = statement(value);
    const { said } = one;
    must(said.v === "ix/1" && said.typ === "root" && said.simulation === true, "no root of a simulation");
    must(said.version === place + 1, "roots with gaps");
    must(before ? said.prev === before.digest : one.digest === fed, "not the pinned federation");
    const root = { ...one, keys: said.root_keys.map(pairOf), enrolment: said.enrolment.map(pairOf), log: pairOf(said.log) };
    must(Number.isInteger(said.threshold) && said.threshold >= 1, "no threshold");
    const count = signers(one, before ? [before.keys, root.keys] : [root.keys]);
    must(count(root.keys) >= said.threshold, "a root under its threshold");
    if (before) must(count(before.keys) >= before.said.threshold, "a root under the threshold of the one before");
    before = root;
  }
  must(time(before.said.expires) > now, "the root has expired");
  must(time(before.said.issued) <= now + SKEW, "the root is from the future");
  return before;
}

/** agency -> its versions, oldest first; each signed by an enrolment key and naming the one before. */
function records(values, root, fed) {
  must(Array.isArray(values), "no records");
  const found = new Map();
  for (const value of values) {
    const one = statement(value);
    const { said } = one;
    must(said.v === "ix/1" && said.typ === "record" && said.fed === fed && one.pairs.length === 1, "no record");
    const by = root.enrolment.find((key) => key.kids.every((kid, half) => kid === one.pairs[0][half].kid));
    must(by, "a record is not signed by an enrolment key");
    verifyPair(one.pairs[0], "ix-rec+jws", (_, half) => by.raw[half]);
    const versions = found.get(said.agency) ?? [];
    must(said.version === versions.length + 1, "records with gaps");
    must(versions.length === 0 || said.prev === versions.at(-1).digest, "a record does not follow the one before");
    found.set(said.agency, [...versions, one]);
  }
  return found;
}

/** The keys by which signatures are judged: those of the records whose entries came before. */
class Keys {
  #known = new Map(); // kid -> { agency, key }

  learn(record) {
    for (const key of record.said.keys) this.#known.set(key.kid, { agency: record.said.agency, key });
  }

  owner(kid) {
    return this.#known.get(kid)?.agency;
  }

  verify(pair, typ, agency, at) {
    verifyPair(pair, typ, (kid, half) => {
      const found = this.#known.get(kid);
      must(found && found.agency === agency, `signed by a key that is not ${agency}'s`);
      const { key } = found;
      const raw = unb64(key.pub, "base64url");
      must(key.use === "sig" && key.alg === PAIR[half] && kidOf[half](raw) === kid, "a key for something else");
      const counts = time(key.nbf) <= at && at < time(key.exp) && (!("revoked" in key) || at < time(key.revoked));
      must(counts, `a key of ${agency} did not count at that time`);
      return raw;
    });
  }
}

// --- the log -----------------------------------------------------------------------------------------------------------

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function checkpoint(note, log, origin) {
  must(typeof note === "string" && !/[\u0000-\u0009\u000b-\u001f]/.test(note), "no checkpoint");
  const blank = note.lastIndexOf("\n\n");
  must(blank > 0 && note.endsWith("\n"), "a checkpoint without signatures");
  const text = note.slice(0, blank + 1);
  const [name, size, root, ...more] = text.slice(0, -1).split("\n");
  must(more.length === 0 && name === origin && /^(0|[1-9]\d{0,15})$/.test(size), "the checkpoint is of another log");
  const hash = unb64(root, "base64");
  must(hash.length === 32 && Number.isSafeInteger(Number(size)), "the checkpoint's size or root");
  const lines = note.slice(blank + 2, -1).split("\n").map((line) => {
    const match = /^\u2014 ([^ +]+) ([A-Za-z0-9+/]+={0,2})$/u.exec(line);
    must(match, "a line that is no signature");
    return { name: match[1], bytes: unb64(match[2], "base64") };
  });
  const one = (type, raw, length) => {
    const id = sha(`${origin}\n`, Buffer.from([type]), raw).subarray(0, 4);
    const found = lines.filter((line) => line.name === origin && line.bytes.subarray(0, 4).equals(id));
    must(found.length === 1 && found[0].bytes.length === 4 + length, "each of the log's lines exactly once");
    return found[0].bytes.subarray(4);
  };
  const [first, second] = [one(0x01, log.raw[0], 64), one(0x06, log.raw[1], 2428)];
  signed(0, log.raw[0], Buffer.from(text), first);
  const named = Buffer.concat([Buffer.from([Buffer.byteLength(origin)]), Buffer.from(origin)]);
  const at = second.subarray(0, 8);
  const message = [Buffer.from("subtree/v1\n\0"), named, at, named, u64(0), u64(size), hash];
  signed(1, log.raw[1], Buffer.concat(message), second.subarray(8));
  const others = [...new Set(lines.map((line) => line.name))].filter((other) => other !== origin).sort();
  return { size: Number(size), root: hash, others };
}

function included(entry, index, proof, { size, root }) {
  must(Number.isSafeInteger(index) && index >= 0 && index < size, "an index outside of the log");
  const i = BigInt(index);
  const inner = (i ^ BigInt(size - 1)).toString(2).replace(/^0$/, "").length;
  const outer = (i >> BigInt(inner)).toString(2).replaceAll("0", "").length;
  must(Array.isArray(proof) && proof.length === inner + outer, "a proof of another length");
  let node = sha(Buffer.from([0]), entry);
  proof.forEach((text, h) => {
    const sibling = unb64(text, "base64url");
    must(sibling.length === 32, "a hash of another length");
    const left = h >= inner || (i >> BigInt(h)) & 1n;
    node = left ? sha(Buffer.from([1]), sibling, node) : sha(Buffer.from([1]), node, sibling);
  });
  must(node.equals(root), `entry ${index} does not lead to the signed root`);
}

// --- the file ----------------------------------------------------------------------------------------------------------

const TYP = { agreements: "ix-agr+jws", notices: "ix-ntc+jws", acts: "ix-act+jws", receipts: "ix-rcpt+jws" };

/** What an entry names, and whether the signed statement says what the entry says. */
const NAMES = {
  agreement: ["agreements", (e) => e.agr, (e, s) => same(s.parties, e.parties) && (s.replaces ?? null) === (e.replaces ?? null)],
  suspension: ["notices", (e) => e.notice, (e, s) => s.agr === e.agr && s.by === e.by && s.act === e.act],
  act: ["acts", (e) => e.statement, (e, s) => s.act === e.act && s.by === e.by && s.msg === e.msg && (s.re ?? null) === (e.re ?? null)],
  receipt: ["receipts", (e) => e.batch, (e, s) => s.by === e.by
    && s.items.some((item) => item.msg === e.msg && item.status === e.status && (item.code ?? null) === (e.code ?? null))],
};

/** Verify the bytes of a file; returns what it shows, or throws `Refused` with one sentence. */
export function verify(bytes, fed, now = Date.now()) {
  const file = object(json(bytes), MEMBERS, "the file");
  must(Buffer.from(JSON.stringify(file)).equals(bytes), "the file is not in its one spelling");
  must(file.v === "ix/1" && file.typ === "evidence", "no evidence of ix/1");
  const trust = object(file.trust, null, "the directory");
  must(same(Object.keys(trust).sort(), ["records", "roots"]), "a directory has other members");
  const root = roots(trust.roots, fed, now);
  const agencies = records(trust.records, root, fed);
  const head = checkpoint(file.checkpoint, root.log, root.said.log.origin);
  const shown = walk(file, agencies, head, fed);
  must(Array.isArray(file.messages) && file.messages.length > 0, "no messages");
  must(same(file.messages, [...new Set(file.messages)].sort()), "messages stand in ascending order, each once");
  must(file.messages.every((msg) => shown.decided.has(msg)), "a message without its decision");
  const whole = HAS_ML_DSA ? PAIR : PAIR.slice(0, 1);
  return { name: root.said.name, size: head.size, others: head.others, rows: shown.rows, entries: file.entries.length, whole };
}

function walk(file, agencies, head, fed) {
  const [keys, known, rows, decided, used] = [new Keys(), new Map(), [], new Set(), new Set()];
  const [signedBy, receipts, rules] = [new Map(), new Set(), new Set()];
  let [before, clock, policy] = [-1, -Infinity, digest("")];
  must(Array.isArray(file.entries), "no entries");
  for (const item of file.entries) {
    object(item, ["index", "entry", "proof"], "an entry");
    must(typeof item.entry === "string" && item.index > before, "entries stand in the order of the log");
    before = item.index;
    included(Buffer.from(item.entry), item.index, item.proof, head);
    const entry = json(Buffer.from(item.entry));
    const at = time(entry.ts);
    must(entry.v === "ix/1" && at >= clock, "an entry is dated before the one in front of it");
    clock = at;
    if (entry.typ === "record") {
      const record = agencies.get(entry.agency)?.[entry.version - 1];
      must(record && record.digest === entry.record, "a record entry that the directory contradicts");
      keys.learn(record);
    } else if (entry.typ in NAMES) {
      const [kind, nameOf, agrees] = NAMES[entry.typ];
      const name = nameOf(entry);
      const found = object(file[kind], null, kind)[name];
      must(found !== undefined || kind === "receipts", `a statement of entry ${item.index} is missing`);
      if (found !== undefined) {
        const said = statement(found);
        must(said.digest === name && said.said.fed === fed, "a statement under another name");
        must(agrees(entry, said.said), `the statement of entry ${item.index} says something else`);
        authors(kind, said, entry, keys, at);
        used.add(`${kind} ${name}`);
        known.set(name, said.said);
      }
      if (entry.typ === "agreement") completed(entry, signedBy, rules.has(name));
      if (entry.typ === "receipt") {
        const fact = `${entry.msg} ${entry.by} ${entry.status}`;
        must(!receipts.has(fact), "the same receipt was logged twice");
        receipts.add(fact);
      }
      if ((kind === "agreements" || kind === "notices") && !rules.has(name)) {
        policy = digest(`${policy}\n${name}`);
        rules.add(name);
      }
    } else if (entry.typ === "disclosure" || entry.typ === "denial") {
      must(entry.policy === policy, `a rule is missing that entry ${item.index} was decided by`);
      must(!decided.has(entry.msg), "a message was decided twice");
      if (entry.typ === "disclosure") clauses(entry, known.get(entry.agr), item.index);
      decided.add(entry.msg);
      rows.push({ index: item.index, ...entry });
    } else if (entry.typ === "signature") {
      must(!rules.has(entry.agr), "an agreement was signed after it was complete");
      signedBy.set(entry.agr, [...(signedBy.get(entry.agr) ?? []), entry.by]);
    } else must(entry.typ === "node-head", "an entry of another kind"); // LOG-98: not judged
  }
  for (const kind of Object.keys(TYP)) {
    const names = Object.keys(object(file[kind], null, kind));
    must(same(names, [...names].sort()) && names.every((name) => DIGEST.test(name)), "statements out of order");
    must(names.every((name) => used.has(`${kind} ${name}`)), "a statement that no entry names");
  }
  return { rows, decided };
}

/** An agreement is signed by all its parties, once each; everything else by the one who gives it. */
function authors(kind, said, entry, keys, at) {
  if (kind !== "agreements") {
    must(said.pairs.length === 1, "not exactly one pair of signatures");
    keys.verify(said.pairs[0], TYP[kind], entry.by, at);
    return;
  }
  const signedBy = said.pairs.map((pair) => {
    const party = keys.owner(pair[0].kid);
    must(said.said.parties.includes(party), "signed by somebody who is no party");
    keys.verify(pair, TYP.agreements, party, at);
    return party;
  });
  must(same([...new Set(signedBy)].sort(), [...said.said.parties].sort()), "a party has not signed");
  must(signedBy.length === said.said.parties.length, "a party has signed twice");
}

/** LOG-46: before an agreement stands a signature entry of every party, and of nobody else. */
function completed(entry, signedBy, before) {
  const signers = signedBy.get(entry.agr) ?? [];
  must(before || entry.parties.every((party) => signers.includes(party)), "a party's signature was not logged before the agreement");
  must(signers.every((party) => entry.parties.includes(party)), "the signature of somebody who is no party was logged");
}

function clauses(entry, terms, index) {
  must(terms || entry.type === "exculpatory_notice", `entry ${index} names an agreement that was not logged before it`);
  const named = entry.to.flatMap((to) => to.clauses);
  const listed = new Set((terms?.clauses ?? []).filter((one) => one.effect === "permit").map((one) => one.id));
  must(entry.type === "exculpatory_notice" || named.every((id) => listed.has(id)), `entry ${index} names no such clause`);
}

// --- for people --------------------------------------------------------------------------------------------------------

function main(words) {
  const option = (name) => {
    const at = words.findIndex((word) => word === name || word.startsWith(`${name}=`));
    if (at < 0) return undefined;
    const [word] = words.splice(at, 1);
    return word === name ? words.splice(at, 1)[0] : word.slice(name.length + 1);
  };
  const [fed, at] = [option("--fed"), option("--at")];
  if (words.length !== 1 || !DIGEST.test(fed ?? "") || (at !== undefined && !TIME.test(at))) {
    process.stderr.write("usage: node verify_bundle.mjs FILE --fed=ID [--at=2026-11-21T16:20:00Z]\n");
    return 2;
  }
  let bytes;
  try {
    bytes = readFileSync(words[0]);
  } catch {
    process.stderr.write("the file cannot be read\n");
    return 2;
  }
  let shown;
  try {
    shown = verify(bytes, fed, at === undefined ? Date.now() : time(at));
  } catch (wrong) {
    // Whatever else goes wrong inside is a member of another form, and no reason to believe.
    process.stderr.write(`refused: ${wrong instanceof Refused ? wrong.message : "a member has another form"}\n`);
    return 1;
  }
  const out = [`${shown.name}: ${shown.entries} of ${shown.size} entries, each proven under the signed root`];
  for (const row of shown.rows) {
    const whom = row.to.map((to) => `${to.id} (${to.clauses?.join(" ") ?? to.code})`).join(", ");
    out.push(`entry ${row.index} ${row.ts} ${row.typ}: ${row.from} -> ${whom}; ${row.type} for ${row.purpose}`);
  }
  if (shown.others.length) out.push(`not checked: lines on the checkpoint by ${shown.others.join(", ")}`);
  if (!HAS_ML_DSA) out.push("not checked: the ML-DSA-44 half of each pair of signatures, which this Node.js does not have");
  out.push(...LEFT_OUT.map((one) => `not shown: ${one}`));
  process.stdout.write(`${out.join("\n")}\n`);
  return HAS_ML_DSA ? 0 : 4;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = main(process.argv.slice(2));
