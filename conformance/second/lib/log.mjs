// Tree, checkpoints, proofs, tiles and entries: spec/log.md up to LOG-43. An export is audited in audit.mjs.

import {
  AGENCY, DIGEST, TIME, WHITE_SPACE, ascending, ascii, check, isCount, isList, isText, members, parseJson, parseTime, recoded,
  sha256, unb64,
} from "./encoding.mjs";
import { verify } from "./signing.mjs";
import * as codes from "./vocabulary.mjs";

// --- tree ------------------------------------------------------------------------------------------------------------

export const leafHash = (entry) => sha256(Buffer.from([0]), entry);
const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

/** LOG-2: the root over these hashes (of leaves, or of complete subtrees of one height, the last ones narrower). */
export function treeRoot(hashes) {
  if (hashes.length === 0) return sha256(Buffer.alloc(0));
  if (hashes.length === 1) return hashes[0];
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return nodeHash(treeRoot(hashes.slice(0, k)), treeRoot(hashes.slice(k)));
}

/** LOG-5 and LOG-6. Sizes go to 2^53 - 1, so bits are taken by BigInt. */
export function checkInclusion(hash, index, size, path, root) {
  check(index < size, "inclusion_invalid", "LOG-6: index outside of the tree");
  const i = BigInt(index);
  const inner = (i ^ BigInt(size - 1)).toString(2).replace(/^0$/, "").length;
  const outer = (i >> BigInt(inner)).toString(2).replaceAll("0", "").length;
  check(path.length === inner + outer, "inclusion_invalid", "LOG-6: another number of hashes");
  let node = hash;
  path.forEach((sibling, h) => {
    check(sibling.length === 32, "inclusion_invalid", "LOG-6: a hash of another length");
    const left = h >= inner || ((i >> BigInt(h)) & 1n) === 1n;
    node = left ? nodeHash(sibling, node) : nodeHash(node, sibling);
  });
  check(node.equals(root), "inclusion_invalid", "LOG-6: does not lead to the root");
}

/** LOG-5: the path that the proof of an index has, from all leaf hashes. */
export function inclusionPath(index, hashes) {
  if (hashes.length === 1) return [];
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  if (index < k) return [...inclusionPath(index, hashes.slice(0, k)), treeRoot(hashes.slice(k))];
  return [...inclusionPath(index - k, hashes.slice(k)), treeRoot(hashes.slice(0, k))];
}

/** LOG-7 and LOG-8, by the algorithm of RFC 9162 section 2.1.4.2. */
export function checkConsistency(first, second, path, firstRoot, secondRoot) {
  const good = (condition) => check(condition, "log_inconsistent", "LOG-8: the larger tree does not extend the smaller");
  good(first <= second);
  if (first === second || first === 0) {
    return good(path.length === 0 && (first === 0 || firstRoot.equals(secondRoot)));
  }
  const hashes = Number.isInteger(Math.log2(first)) ? [firstRoot, ...path] : [...path];
  good(hashes.length > 0 && path.length > 0 && path.length <= 64);
  let [fn, sn] = [BigInt(first - 1), BigInt(second - 1)];
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [fr, sr] = [hashes[0], hashes[0]];
  for (const hash of hashes.slice(1)) {
    good(sn !== 0n);
    if (fn & 1n || fn === sn) {
      [fr, sr] = [nodeHash(hash, fr), nodeHash(hash, sr)];
      while (fn !== 0n && !(fn & 1n)) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else sr = nodeHash(sr, hash);
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  good(sn === 0n && fr.equals(firstRoot) && sr.equals(secondRoot));
}

// --- checkpoints -----------------------------------------------------------------------------------------------------

const SIZE = /^(0|[1-9][0-9]{0,15})$/;

function number(text, code) {
  check(SIZE.test(text) && Number.isSafeInteger(Number(text)), code, "LOG-9: not a size");
  return Number(text);
}

export const keyId = (origin, type, pub) => sha256(Buffer.from(`${origin}\n`), Buffer.from([type]), pub).subarray(0, 4);

/** LOG-22. */
export const vkeys = (log) =>
  log.publics.map((pub, i) => {
    const type = i === 0 ? 0x01 : 0x06;
    const key = Buffer.concat([Buffer.from([type]), pub]).toString("base64");
    return `${log.origin}+${keyId(log.origin, type, pub).toString("hex")}+${key}`;
  });

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

const LONGEST = 131072;
const LINE = new RegExp(`^\\u2014 ([^+${WHITE_SPACE}]+) ([A-Za-z0-9+/]+={0,2})$`, "u");

/** LOG-19. */
function readNote(note) {
  const bad = (condition, sentence) => check(condition, "checkpoint_invalid", `LOG-19: ${sentence}`);
  bad(Buffer.byteLength(note) <= LONGEST, "too long");
  bad(note.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(note), "control characters");
  const blank = note.lastIndexOf("\n\n");
  bad(blank > 0 && note.endsWith("\n"), "no empty line");
  const lines = note.slice(blank + 2, -1).split("\n");
  bad(lines.length >= 1 && lines.length <= 32, "another number of signatures");
  const signatures = lines.map((line) => {
    const match = LINE.exec(line);
    bad(match, "a line that is no signature");
    const raw = unb64(match[2], "checkpoint_invalid");
    bad(raw.length >= 5, "a signature too short");
    return { name: match[1], id: raw.subarray(0, 4), signature: raw.subarray(4) };
  });
  return { text: note.slice(0, blank + 1), signatures };
}

/** LOG-16, LOG-19: a checkpoint taken apart; nothing is verified yet. */
export function readCheckpoint(note) {
  const { text, signatures } = readNote(note);
  const lines = text.split("\n");
  check(lines.length === 4 && lines[3] === "", "checkpoint_invalid", "LOG-16: not exactly three lines");
  const size = number(lines[1], "checkpoint_invalid");
  const root = unb64(lines[2], "checkpoint_invalid");
  check(root.length === 32, "checkpoint_invalid", "LOG-16: not a root");
  return { text, origin: lines[0], size, root, signatures };
}

/** LOG-17: what the two lines sign, each by its own key. */
export function verifyLines({ text, origin, size, root }, [ed, ml], publics) {
  check(verify("Ed25519", publics[0], Buffer.from(text), ed), "checkpoint_invalid", "LOG-20: the Ed25519 line");
  const name = Buffer.concat([Buffer.from([Buffer.byteLength(origin)]), Buffer.from(origin)]);
  const [timestamp, signature] = [ml.subarray(0, 8), ml.subarray(8)];
  const message = Buffer.concat([ascii("subtree/v1\n\0"), name, timestamp, name, u64(0), u64(size), root]);
  check(verify("ML-DSA-44", publics[1], message, signature), "checkpoint_invalid", "LOG-20: the ML-DSA-44 line");
  const time = timestamp.readBigUInt64BE();
  check(time <= 253402300799n, "checkpoint_invalid", "LOG-20: signed after the year 9999");
  return Number(time) * 1000;
}

/** LOG-20, LOG-21. */
export function openCheckpoint(note, log) {
  const read = readCheckpoint(note);
  check(read.origin === log.origin, "checkpoint_invalid", "LOG-20: another log");
  const one = (type, pub) => {
    const id = keyId(log.origin, type, pub);
    const found = read.signatures.filter((line) => line.name === log.origin && line.id.equals(id));
    check(found.length === 1, "checkpoint_invalid", "LOG-20: not each of the log's lines exactly once");
    return found[0].signature;
  };
  const time = verifyLines(read, [one(0x01, log.publics[0]), one(0x06, log.publics[1])], log.publics);
  return { size: read.size, root: read.root, time };
}

// --- proofs ----------------------------------------------------------------------------------------------------------

/** LOG-23 to LOG-25. */
export function readProof(text) {
  const bad = (condition, sentence) => check(condition, "tlog_proof_malformed", `LOG-24: ${sentence}`);
  bad(Buffer.byteLength(text) <= LONGEST, "too long");
  const blank = text.indexOf("\n\n");
  bad(blank > 0, "no empty line");
  const [header, index, ...hashes] = text.slice(0, blank).split("\n");
  bad(header === "c2sp.org/tlog-proof@v1" && index?.startsWith("index "), "another header");
  bad(hashes.length <= 63, "too many hashes");
  const path = hashes.map((line) => {
    const hash = unb64(line, "tlog_proof_malformed");
    bad(hash.length === 32, "not a hash");
    return hash;
  });
  return { index: number(index.slice(6), "tlog_proof_malformed"), path, checkpoint: text.slice(blank + 2) };
}

/** LOG-26. */
export function verifyProof(text, entry, log) {
  const proof = readProof(text);
  const checkpoint = openCheckpoint(proof.checkpoint, log);
  checkInclusion(leafHash(entry), proof.index, checkpoint.size, proof.path, checkpoint.root);
  return { index: proof.index, ...checkpoint };
}

// --- tiles -----------------------------------------------------------------------------------------------------------

/** LOG-11. */
export function tilePath(level, n, width = 256) {
  const groups = [];
  do {
    groups.unshift(String(n % 1000).padStart(3, "0"));
    n = Math.floor(n / 1000);
  } while (n > 0);
  const name = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${level}/${name}${width < 256 ? `.p/${width}` : ""}`;
}

/** LOG-12: the tiles of a level, as [number, width]. */
export function tilesOf(size, level) {
  const hashes = Math.floor(size / 256 ** level);
  const tiles = [];
  for (let n = 0; n * 256 < hashes; n += 1) tiles.push([n, Math.min(256, hashes - n * 256)]);
  return tiles;
}

/** LOG-14. */
export function readBundle(bytes, count) {
  const entries = [];
  for (let at = 0; at < bytes.length; ) {
    check(at + 2 <= bytes.length, "bundle_malformed", "LOG-14: cut short");
    const length = bytes.readUInt16BE(at);
    check(at + 2 + length <= bytes.length, "bundle_malformed", "LOG-14: cut short");
    entries.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  check(entries.length === count, "bundle_malformed", "LOG-14: another number of entries");
  return entries;
}

// --- entries ---------------------------------------------------------------------------------------------------------

const digestForm = (value) => isText(value, DIGEST);
const agency = (value) => isText(value, AGENCY);
const oneOf = (list) => (value) => typeof value === "string" && list.includes(value);
const clause = (value) => isText(value, /^[a-z][a-z0-9_-]{0,11}$/);
const code = (value) => isText(value, /^[a-z][a-z0-9_]{0,39}$/);
const uuid = (value) => isText(value, codes.UUID7);
const distinct = (list) => new Set(list).size === list.length;
const sorted = (list) => (value) => isList(value, 0, 32) && value.every((item) => list.includes(item)) && ascending(value);
const recipients = (names) => (value) =>
  isList(value, 1, 20) && value.every((one) => object(one, names)) && distinct(value.map((one) => one.id));
const clauses = (value) => isList(value, 1, 64) && value.every(clause) && distinct(value);
const parties = (value) => isList(value, 2, 32) && value.every(agency) && distinct(value);

const SUBJECT = { type: oneOf(codes.TYPE), purpose: oneOf(codes.PURPOSE), crime: oneOf(codes.CRIME),
  class: oneOf(codes.CLASS), handling: (value) => isList(value, 1, 4) && sorted(codes.HANDLING)(value),
  cats: sorted(codes.CATEGORY), urgency: oneOf(codes.URGENCY) };

const DERIVED = { "src?": (value) => isList(value, 1, 4) && value.every(digestForm) && ascending(value),
  "exempt?": oneOf(codes.EXEMPT) };

const KINDS = {
  disclosure: { msg: digestForm, id: uuid, from: agency, to: recipients({ id: agency, clauses }), agr: digestForm,
    ...SUBJECT, "re?": digestForm, ...DERIVED, policy: digestForm },
  denial: { msg: digestForm, id: uuid, from: agency, to: recipients({ id: agency, code, "nearest?": clause }),
    agr: digestForm, code, ...SUBJECT, ...DERIVED, policy: digestForm },
  receipt: { msg: digestForm, by: agency, status: oneOf(codes.RECEIPT), "code?": code, batch: digestForm },
  agreement: { agr: digestForm, parties, "replaces?": digestForm },
  suspension: { agr: digestForm, by: agency, act: oneOf(["suspend", "resume", "leave"]), notice: digestForm },
  record: { agency, version: (value) => isCount(value, 1, 1000000), record: digestForm },
  signature: { agr: digestForm, by: agency },
  act: { act: oneOf(codes.ACT), by: agency, msg: digestForm, "re?": digestForm, statement: digestForm },
  "node-head": { by: agency, size: (value) => isCount(value, 1, Number.MAX_SAFE_INTEGER), root: digestForm, head: digestForm },
};

/** Whether a value has these members in this order, each of its form. */
function object(value, forms) {
  members(value, Object.keys(forms), "entry_malformed", "LOG-32: an entry");
  const names = Object.keys(forms).map((name) => name.replace("?", "")).filter((name) => name in value);
  check(names.join() === Object.keys(value).join(), "entry_malformed", "LOG-30: members in another order");
  for (const [name, form] of Object.entries(forms)) {
    const member = value[name.replace("?", "")];
    check(member === undefined || form(member), "entry_malformed", `LOG-32: ${name}`);
  }
  return true;
}

/** LOG-30 to LOG-40. */
export function readEntry(bytes) {
  check(bytes.length <= 4096, "entry_malformed", "LOG-30: too long");
  const entry = recoded("entry_malformed", () => parseJson(bytes, 4096));
  const known = typeof entry?.typ === "string" && Object.hasOwn(KINDS, entry.typ);
  check(known, "entry_malformed", "LOG-30: none of the nine kinds");
  const time = (value) => isText(value, TIME) && value.length === 24;
  object(entry, { v: (value) => value === "ix/1", typ: () => true, ts: time, ...KINDS[entry.typ] });
  check(entry.typ !== "receipt" || (entry.status === "rejected") === "code" in entry, "entry_malformed",
    "LOG-35: code and rejected go together");
  check(JSON.stringify(entry) === bytes.toString("utf8"), "entry_malformed", "LOG-30: in another spelling");
  return { ...entry, at: recoded("entry_malformed", () => parseTime(entry.ts)) };
}

