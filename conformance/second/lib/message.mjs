// Manifest, envelope, parcel, and who checks what in which order: spec/messages.md.

import { randomBytes } from "node:crypto";
import {
  AGENCY, TIME, ascending, ascii, b64u, check, digest, formatTime, isCount, isList, isText, members, parseJson,
  parseTime, same, sha256, unb64u,
} from "./encoding.mjs";
import { PAIR, isDigest, readSigned, signPair } from "./signing.mjs";
import * as seal from "./sealing.mjs";
import { SKEW } from "./directory.mjs";
import { readEntry, verifyProof } from "./log.mjs";
import { categories, checkDeclared, handlingOf, parseContent } from "./content.mjs";
import * as codes from "./vocabulary.mjs";

const LIMIT = { envelope: 262144, manifest: 16384 };
const SUITE = "647a-0001-0002";
const LIFE = 2592000 * 1000;
const TYP = "ix-msg+jws";

const form = (condition, sentence) => check(condition, "envelope_malformed", sentence);

// --- the manifest ----------------------------------------------------------------------------------------------------

const ORDER = ["v", "typ", "fed", "id", "ts", "exp", "from", "to", "agr", "type", "purpose", "crime", "class",
  "handling", "cats", "urgency", "re?", "src?", "exempt?", "by", "body", "att", "sig"];
const LISTS = { type: codes.TYPE, purpose: codes.PURPOSE, crime: codes.CRIME, class: codes.CLASS,
  urgency: codes.URGENCY };

/** MSG-1, MSG-3. */
export function parseManifest(bytes) {
  const it = members(parseJson(bytes, LIMIT.manifest), ORDER, "envelope_malformed", "MSG-1: the manifest");
  form(it.v === "ix/1" && it.typ === "msg", "MSG-3: v or typ");
  for (const name of ["fed", "agr", "by"]) form(isDigest(it[name]), `MSG-3: ${name}`);
  form(!("re" in it) || isDigest(it.re), "MSG-3: re");
  form(!("src" in it) || (isList(it.src, 1, 4) && it.src.every(isDigest) && ascending(it.src)), "MSG-3: src");
  form(!("src" in it) || it.type !== "exculpatory_notice", "MSG-34: what speaks for a suspect has no sources");
  form(it.type !== "exculpatory_notice" || !("src" in it), "MSG-34: sources of an exculpatory notice");
  form(!("exempt" in it) || codes.EXEMPT.includes(it.exempt), "MSG-3: exempt");
  form(isText(it.id, codes.UUID7), "MSG-3: id");
  form(isText(it.ts, TIME) && isText(it.exp, TIME), "MSG-3: ts or exp");
  const [sent, expires] = [it.ts, it.exp].map((time) => parseTime(time, "envelope_malformed"));
  form(isText(it.from, AGENCY), "MSG-3: from");
  form(isList(it.to, 1, 20), "MSG-3: to");
  for (const one of it.to) {
    members(one, ["id", "kid", "wrap"], "envelope_malformed", "MSG-3: a recipient");
    form(isText(one.id, AGENCY) && isDigest(one.kid) && isDigest(one.wrap), "MSG-3: a recipient");
  }
  form(new Set(it.to.map((one) => one.id)).size === it.to.length, "MSG-3: a recipient twice");
  for (const [name, list] of Object.entries(LISTS)) form(list.includes(it[name]), `MSG-3: ${name}`);
  form(isList(it.handling, 1, 4) && it.handling.every((code) => codes.HANDLING.includes(code)), "MSG-3: handling");
  form(isList(it.cats, 0, 32) && it.cats.every((code) => codes.CATEGORY.includes(code)), "MSG-3: cats");
  form(ascending(it.handling) && ascending(it.cats), "MSG-3: not strictly ascending");
  members(it.body, ["sha256", "len", "commit"], "envelope_malformed", "MSG-3: body");
  form(isDigest(it.body.sha256) && isDigest(it.body.commit) && isCount(it.body.len, 1, 262144), "MSG-3: body");
  form(isList(it.att, 0, 0), "MSG-3: att");
  form(isList(it.sig, 2, 2) && it.sig.every((name) => typeof name === "string"), "MSG-3: sig");
  check(it.sig[0] === PAIR[0] && it.sig[1] === PAIR[1], "suite_unknown", "MSG-4: other signatures declared");
  return { ...it, sent, expires, digest: digest(bytes) };
}

/** MSG-10. */
export function contextLines(manifest) {
  const { fed, id, from, agr, to } = manifest;
  const lines = ["ix/1 msg", `fed ${fed}`, `id ${id}`, `from ${from}`, `agr ${agr}`];
  return [...lines, ...to.map((one) => `to ${one.id} ${one.kid}`)].map((line) => `${line}\n`).join("");
}
export const context = (manifest) => sha256(ascii(contextLines(manifest)));

// --- envelope and parcel, their form ---------------------------------------------------------------------------------

/** MSG-2, in the order that "What the broker checks" gives. */
export function parseEnvelope(bytes) {
  const it = members(parseJson(bytes, LIMIT.envelope), ["payload", "signatures", "sealed"], "envelope_malformed",
    "MSG-2: the envelope");
  const { payload, pairs } = readSigned(it.payload, it.signatures);
  const { sealed } = it;
  members(sealed, ["suite", "keys", "body"], "envelope_malformed", "MSG-2: sealed");
  check(sealed.suite === SUITE, "suite_unknown", "MSG-4: another suite");
  form(isList(sealed.keys, 1, 20) && typeof sealed.body === "string", "MSG-2: keys or body");
  for (const one of sealed.keys) {
    members(one, ["kid", "wrap"], "envelope_malformed", "MSG-2: a wrap");
    form(isDigest(one.kid) && typeof one.wrap === "string", "MSG-2: a wrap");
  }
  const wraps = sealed.keys.map((one) => ({ kid: one.kid, bytes: unb64u(one.wrap) }));
  const body = unb64u(sealed.body);
  return { encoded: it.payload, manifest: parseManifest(payload), pairs, wraps, body };
}

const PARCEL = ["kind", "seq", "payload", "signatures", "wrap", "body", "entry", "proof"];

/** MSG-18, with the value of the parcel already read as JSON. */
export function readParcel(value) {
  const it = members(value, PARCEL, "envelope_malformed", "MSG-18: the parcel");
  form(it.kind === "message" && isCount(it.seq, 0, Number.MAX_SAFE_INTEGER), "MSG-18: kind or seq");
  for (const name of ["wrap", "body", "entry", "proof"]) form(typeof it[name] === "string", `MSG-18: ${name}`);
  const { payload, pairs } = readSigned(it.payload, it.signatures);
  const [wrap, body, entry] = ["wrap", "body", "entry"].map((name) => unb64u(it[name]));
  return { encoded: it.payload, manifest: parseManifest(payload), pairs, wrap, body, entry, seq: it.seq, proof: it.proof };
}

// --- the checks ------------------------------------------------------------------------------------------------------

/** MSG-5, MSG-9. */
function checkSigned(it, directory, instant) {
  check(it.manifest.fed === directory.fed, "federation_mismatch", "MSG-5: another federation");
  check(it.pairs.length === 1, "suite_unknown", "MSG-4: more than one pair");
  directory.verify(it.pairs[0], it.encoded, TYP, it.manifest.from, instant);
}

/** MSG-6. */
function checkWrap(wrap, named) {
  check(same(sha256(wrap), unb64u(named)), "seal_mismatch", "MSG-6: a wrap that was not signed for");
}

function checkBody(body, named) {
  const good = body.length === named.len && digest(body) === named.sha256;
  check(good, "seal_mismatch", "MSG-6: a body that was not signed for");
}

/** MSG-7, MSG-8. */
export function checkTime({ sent, expires }, now) {
  check(now < expires, "message_expired", "MSG-7: has expired");
  check(sent <= now + SKEW && expires > sent && expires - sent <= LIFE, "message_time", "MSG-8: ts or exp");
}

/** What a broker checks of an envelope, at an instant; also what `inspect` does. */
export function judgeEnvelope(bytes, directory, now) {
  const it = parseEnvelope(bytes);
  checkSigned(it, directory, now);
  checkWraps(it);
  for (const one of it.manifest.to) directory.key(one.kid, one.id, "enc", now);
  checkTime(it.manifest, now);
  return it;
}

function checkWraps({ wraps, body, manifest }) {
  const inOrder = wraps.length === manifest.to.length && wraps.every((one, i) => one.kid === manifest.to[i].kid);
  check(inOrder, "seal_mismatch", "MSG-6: wraps that are not for the recipients, in order");
  wraps.forEach((one, i) => checkWrap(one.bytes, manifest.to[i].wrap));
  checkBody(body, manifest.body);
}

const COMPARED = ["id", "from", "agr", "type", "purpose", "crime", "class", "handling", "cats", "urgency", "re",
  "src", "exempt"];

/** MSG-19. */
function checkLogged(it, directory) {
  const { index } = verifyProof(it.proof, it.entry, directory.root.log);
  const entry = readEntry(it.entry);
  const match = (condition, sentence) => check(condition, "proof_mismatch", `MSG-19: ${sentence}`);
  match(entry.typ === "disclosure", "the entry is no disclosure");
  match(entry.msg === it.manifest.digest, "the entry is about another message");
  for (const name of COMPARED) match(String(entry[name]) === String(it.manifest[name]), name);
  match(entry.to.map((one) => one.id).join() === it.manifest.to.map((one) => one.id).join(), "to");
  match(it.seq === index, "seq is not the index");
  match(entry.at >= it.manifest.sent - SKEW && entry.at < it.manifest.expires, "dated when no broker would have logged it");
  return entry;
}

/** MSG-27, in its order. `me`: id, openings (seed and kid), seen (digests), standing (of an agreement). Gives manifest, entry, content. */
export async function openParcel(value, me, directory, now) {
  const it = readParcel(value);
  const entry = checkLogged(it, directory);
  checkSigned(it, directory, entry.at);
  return { entry, ...(await unseal(it, () => it.wrap, me, now, entry.at)) };
}

/** A bare envelope has no proof that it was logged: everything but that is checked. No node would open it. */
export async function openEnvelope(bytes, me, directory, now) {
  const it = parseEnvelope(bytes);
  checkSigned(it, directory, now);
  checkWraps(it);
  return unseal(it, (i) => it.wraps[i].bytes, me, now);
}

/** Steps 3 to 10. */
async function unseal(it, wrapOf, me, now, logged = now) {
  const { manifest, body } = it;
  const place = manifest.to.findIndex((one) => one.id === me.id);
  check(place >= 0, "not_addressed", "MSG-20: addressed to others");
  const key = me.openings.find((one) => one.kid === manifest.to[place].kid);
  check(key, "not_addressed", "MSG-20: sealed to a key that is not held");
  const wrap = wrapOf(place);
  checkWrap(wrap, manifest.to[place].wrap);
  checkBody(body, manifest.body);
  const ctx = context(manifest);
  const cek = await seal.unwrapKey(key.seed, wrap, ctx);
  const { k, content } = seal.takeApart(seal.openBody(body, cek, seal.bodyContext(ctx)));
  const committed = same(seal.commitment(k, ctx, content), unb64u(manifest.body.commit));
  check(committed, "commitment_mismatch", "MSG-25: another text than was committed to");
  checkTime(manifest, now);
  check(logged <= now + SKEW, "message_time", "MSG-8: logged in the future");
  check(!me.seen?.includes(manifest.digest), "already_received", "MSG-26: received before");
  const lapsed = me.standing?.(manifest.agr, now); // the code of AGR-33 for its state; none in force
  const free = manifest.type === "exculpatory_notice" && lapsed !== "agreement_unknown";
  check(!lapsed || free, lapsed, "MSG-33: the agreement lapsed on the way");
  checkDeclared(manifest, parseContent(content));
  return { manifest, content };
}

// --- sealing ---------------------------------------------------------------------------------------------------------

export function uuid7(instant) {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(instant, 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** MSG-11 to MSG-17. `draft`: from, to, agr, purpose?, crime?, class, handling?, re?, exempt?, by, days. */
export async function sealMessage(content, draft, signer, directory, now) {
  const it = parseContent(content);
  const question = it.question ?? {};
  const keys = draft.to.map((id) => directory.sealingKey(id, now));
  const to = draft.to.map((id, i) => ({ id, kid: keys[i].kid }));
  const head = { v: "ix/1", typ: "msg", fed: directory.fed, id: uuid7(now), ts: formatTime(now),
    exp: formatTime(now + draft.days * 86400000), from: draft.from };
  const ctx = context({ ...head, agr: draft.agr, to });
  const [cek, k, salt] = [randomBytes(32), randomBytes(32), randomBytes(24)];
  const body = seal.sealBody(seal.layOut(k, content), cek, salt, seal.bodyContext(ctx));
  const wraps = await Promise.all(keys.map((key) => seal.wrapKey(key.pub, cek, ctx)));
  const manifest = { ...head, to: to.map((one, i) => ({ ...one, wrap: digest(wraps[i]) })), agr: draft.agr,
    type: it.type, purpose: draft.purpose ?? question.purpose, crime: draft.crime ?? question.crime,
    class: draft.class, handling: draft.handling ?? handlingOf(it), cats: categories(it),
    urgency: question.urgency?.code ?? "none", ...(draft.re && { re: draft.re }),
    ...(it.sources?.length > 0 && { src: it.sources.map((one) => one.msg) }),
    ...(draft.exempt && { exempt: draft.exempt }), by: draft.by,
    body: { sha256: digest(body), len: body.length, commit: b64u(seal.commitment(k, ctx, content)) }, att: [],
    sig: PAIR };
  const payload = Buffer.from(JSON.stringify(manifest));
  checkTime(parseManifest(payload), now);
  checkDeclared(manifest, it);
  const envelope = Buffer.from(JSON.stringify({ payload: b64u(payload), signatures: signPair(payload, TYP, signer),
    sealed: { suite: SUITE, keys: wraps.map((wrap, i) => ({ kid: to[i].kid, wrap: b64u(wrap) })), body: b64u(body) } }));
  check(envelope.length <= LIMIT.envelope, "too_large", "MSG-17: the envelope would be too large");
  return envelope;
}

