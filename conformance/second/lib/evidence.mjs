// What convicts a log, or a member: spec/witness.md, WIT-50 to WIT-54.

import { Refusal, check, isList, members, parseJson, unb64u } from "./encoding.mjs";
import { Directory } from "./directory.mjs";
import { checkConsistency, openCheckpoint, readEntry, treeRoot, verifyProof } from "./log.mjs";
import { namesLog } from "./heads.mjs";
import { openReceipts } from "./receipts.mjs";

const KINDS = ["log_forked", "witness_forked", "seen_forged", "seen_unjudged"];
const unproven = (condition, sentence) => check(condition, "contradiction_unproven", sentence);
const text = (value) => typeof value === "string";

/** WIT-54: for each piece of evidence what it proves: `log` or `member` and who, or nobody; the code of a refusal. */
export function judgeEvidence(bytes, fed, now) {
  const file = parseJson(bytes, 67108864);
  members(file, ["trust", "evidence"], "evidence_malformed", "WIT-54: a file of evidence");
  check(isList(file.evidence, 0, Infinity), "evidence_malformed", "WIT-54: evidence");
  const directory = new Directory(file.trust, fed, now);
  return file.evidence.map((one) => {
    check(text(one?.kind), "evidence_malformed", "WIT-54: a kind");
    if (!KINDS.includes(one.kind)) return { kind: one.kind, convicts: null };
    try {
      return { kind: one.kind, ...judge(one.detail, directory) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { kind: one.kind, convicts: null, code: "contradiction_unproven" };
    }
  });
}

function judge(detail, directory) {
  if (detail?.batch) return batchAgainst(detail, directory);
  unproven(text(detail?.older) && text(detail?.newer), "WIT-54: no two notes");
  return twoNotes(detail, directory);
}

/** By the log keys of the roots, the newest first; with the root's version. */
function byAnyRoot(note, directory) {
  for (const root of [...directory.roots].reverse()) {
    try {
      return { ...openCheckpoint(note, root.log), origin: root.log.origin, version: root.version };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
  return undefined;
}

/** WIT-50, WIT-51. */
function twoNotes({ older, newer, root, proof }, directory) {
  const [small, large] = [byAnyRoot(older, directory), byAnyRoot(newer, directory)];
  unproven(small && large && small.origin === large.origin, "WIT-50: not two checkpoints of one log");
  unproven(small.size <= large.size, "WIT-54: the older is the larger");
  if (small.size === large.size) {
    unproven(!small.root.equals(large.root), "WIT-50: the same tree");
    return { convicts: "log", roots: [small.version, large.version] };
  }
  const between = unb64u(root, "contradiction_unproven");
  unproven(isList(proof, 0, 64), "WIT-51: no proof");
  const path = proof.map((hash) => unb64u(hash, "contradiction_unproven"));
  unproven(between.length === 32 && path.every((hash) => hash.length === 32), "WIT-51: not hashes");
  unproven(small.size > 0 || between.equals(treeRoot([])), "WIT-51: no root of an empty log");
  checkConsistency(small.size, large.size, path, between, large.root);
  unproven(!between.equals(small.root), "WIT-51: the larger contains the smaller");
  return { convicts: "log", roots: [small.version, large.version] };
}

/** WIT-52, WIT-53. */
function batchAgainst({ batch, entry, proof }, directory) {
  const raw = unb64u(entry, "contradiction_unproven");
  const said = readEntry(raw);
  unproven(said.typ === "receipt", "WIT-52: no receipt");
  const placed = [...directory.roots].reverse().reduce((found, { log }) => found ?? attempt(() => verifyProof(proof, raw, log)), undefined);
  unproven(placed, "WIT-52: the entry is not proved");
  const it = openReceipts(batch, directory, said.at);
  const says = it.items.some((one) => one.msg === said.msg && one.status === said.status && one.code === said.code);
  unproven(it.digest === said.batch && it.by === said.by && says && it.told, "WIT-52: the entry does not name the batch");
  const seen = byAnyRoot(it.seen, directory);
  if (!seen) return { convicts: "member", who: namesLog(it.told, directory) ? it.by : `${it.by} or broker` };
  unproven(seen.size > placed.index, "WIT-52: the log may have signed it");
  return { convicts: "log", roots: [seen.version] };
}

function attempt(act) {
  try {
    return act();
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}
