// A ledger as its agency exports it: spec/nodes.md, NODE-51, NODE-190 to NODE-195, NODE-206; spec/log.md, LOG-100.

import {
  AGENCY, Refusal, WHITE_SPACE, check, digest, isCount, isText, members, parseJson, parseTime, recoded, unb64u,
} from "./encoding.mjs";
import { isDigest, readStatement } from "./signing.mjs";
import { checkInclusion, leafHash, openCheckpoint, readCheckpoint, readEntry, readProof } from "./log.mjs";
import { openAct } from "./acts.mjs";
import { openHead } from "./heads.mjs";
import { openReceipts } from "./receipts.mjs";
import { parseManifest } from "./message.mjs";
import { readTree } from "./tree.mjs";
import * as codes from "./vocabulary.mjs";

export const KEYS = ["key_unknown", "key_not_valid"];

// --- acts ------------------------------------------------------------------------------------------------------------

const MEMBERS = ["v", "typ", "n", "ts", "act", "agency", "by", "code", "why", "purpose", "agr", "clauses", "case", "msg",
  "from", "to", "persons", "cats", "outcome", "reasons", "index", "released_by"];
const WORD = 64;
const SPACE = new RegExp(`[${WHITE_SPACE}]+`, "u");
const bad = (condition, sentence) => check(condition, "act_malformed", sentence);
const plain = (value, most) => typeof value === "string" && [...value].length <= most
  && value.split(SPACE).every((word) => [...word].length <= WORD);
const orNull = (good) => (value) => value === null || good(value);
const list = (good) => (value) => value === null || (Array.isArray(value) && value.every(good));
const short = (value) => plain(value, 1000);
const agency = (value) => isText(value, AGENCY);

const FORMS = {
  by: orNull(short), code: orNull(short), why: orNull((value) => typeof value === "string"), purpose: orNull(short),
  agr: orNull(isDigest), clauses: list(short), case: orNull(short), msg: orNull(isDigest), from: orNull(agency),
  to: list(agency), persons: list(short), cats: list(short), outcome: (value) => plain(value, 200), reasons: list(short),
  index: orNull((value) => isCount(value, 0, Number.MAX_SAFE_INTEGER)), released_by: orNull(short),
};

/** NODE-51, NODE-206: an act, number `n` of this agency. */
export function readLine(bytes, me, n) {
  bad(bytes.length <= 65535, "NODE-51: too long");
  const it = recoded("act_malformed", () => parseJson(bytes, 65535));
  members(it, MEMBERS, "act_malformed", "NODE-51: an act");
  bad(Object.keys(it).join() === MEMBERS.join(), "NODE-51: members in another order");
  bad(it.v === "ix/1" && it.typ === "act" && it.n === n && it.agency === me, "NODE-51: its head, or another number");
  bad(codes.LEDGER_ACT.includes(it.act), "NODE-51: no act there is");
  for (const [name, good] of Object.entries(FORMS)) bad(good(it[name]), `NODE-51: ${name}`);
  const said = (value) => (value?.length > 0 ? value : undefined);
  return { ...it, at: parseTime(it.ts, "act_malformed"), to: said(it.to), clauses: said(it.clauses),
    cats: said([...(it.persons ?? []), ...(it.cats ?? [])]), outcome: it.outcome };
}

// --- the folder ------------------------------------------------------------------------------------------------------

/** LOG-100. `file(name)` gives bytes or undefined, `names` the files of `proofs/`. */
export function openLedger(file, names, directory) {
  const note = file("checkpoint");
  check(note, "audit_impossible", "NODE-193: no checkpoint, so no ledger");
  const findings = [];
  const find = (code, index, sentence, more) => findings.push({ code, index, sentence, ...more });
  const { agency: me, head } = openFolderHead(note, directory, find);
  const tree = head && readTree(file, head, (code, index, sentence) => find("ledger_altered", index, `${code}: ${sentence}`));
  const lines = [];
  for (const { index, bytes } of findings.length === 0 ? tree?.entries ?? [] : []) {
    try {
      lines.push(readLine(bytes, me, index + 1));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      find("ledger_altered", null, `act ${index + 1}: ${error.message}`);
    }
  }
  const whole = head && findings.length === 0;
  const proofs = [];
  for (const name of names) {
    const refused = (error, keyed) => {
      if (!(error instanceof Refusal)) throw error;
      const key = KEYS.includes(error.code);
      const who = key && keyed ? `${me} or broker` : me;
      find(key && keyed ? "key_not_valid_then" : "held_proof_refused", null, `${name}: ${error.message}`, { who });
    };
    try {
      const held = openHeldProof(file(`proofs/${name}`), name, directory);
      proofs.push(held);
      Object.assign(held, openBeside(held, directory));
    } catch (error) {
      refused(error, proofs.at(-1)?.file === name);
    }
  }
  return { agency: me, head, whole, lines: whole ? lines : [], leaves: tree?.leaves, proofs, findings };
}

function openFolderHead(note, directory, find) {
  let me;
  try {
    const read = readCheckpoint(note.toString("utf8"));
    const start = `${directory.root.log.origin}/ledger/`;
    me = read.origin.startsWith(start) ? read.origin.slice(start.length) : undefined;
    check(me && directory.agencies.has(me), "audit_impossible", "LOG-91: no ledger of an agency of this federation");
    const signed = read.signatures[1]?.signature;
    check(signed?.length === 2428, "checkpoint_invalid", "LOG-92: no second line");
    const time = signed.readBigUInt64BE();
    check(time <= 253402300799n, "checkpoint_invalid", "LOG-20: signed after the year 9999");
    return { agency: me, head: openHead(note, me, directory, Number(time) * 1000) };
  } catch (error) {
    if (!(error instanceof Refusal) || error.code === "audit_impossible") throw error;
    check(me, "audit_impossible", error.message);
    find(KEYS.includes(error.code) ? "key_not_valid_then" : "ledger_altered", null, error.message);
    return { agency: me };
  }
}

// --- held proofs -----------------------------------------------------------------------------------------------------

const good = (condition, sentence) => check(condition, "held_proof_refused", sentence);

/** NODE-194, LOG-100: the proof holds, and is of what it is named by. */
export function openHeldProof(bytes, file, directory) {
  const it = recoded("held_proof_refused", () => parseJson(bytes, 1048576));
  const names = ["v", "typ", "msg", "entry", "proof", "manifest?", "statement?"];
  members(it, names, "held_proof_refused", "NODE-194: a held proof");
  good(it.v === "ix/1" && it.typ === "held-proof" && isDigest(it.msg) && typeof it.proof === "string", "NODE-194: its head");
  good(file === `${it.msg}.json`, "NODE-194: another name");
  good(!("manifest" in it && "statement" in it), "NODE-194: two signed statements");
  const raw = unb64u(it.entry, "held_proof_refused");
  const entry = recoded("held_proof_refused", () => readEntry(raw));
  good(nameOf(entry, raw) === it.msg, "NODE-194: not about what it is named by");
  const proof = recoded("held_proof_refused", () => proved(it.proof, raw, directory));
  return { file, beside: it, name: it.msg, entry, raw, ...proof };
}

const nameOf = (entry, raw) =>
  ({ disclosure: entry.msg, denial: entry.msg, act: entry.statement, receipt: digest(raw), "node-head": entry.head })[entry.typ];

/** LOG-15: by the log keys of the newest root, or of one before. */
function proved(text, raw, directory) {
  const proof = readProof(text);
  let refusal;
  for (const { log, version } of [...directory.roots].reverse()) {
    try {
      const tree = openCheckpoint(proof.checkpoint, log);
      checkInclusion(leafHash(raw), proof.index, tree.size, proof.path, tree.root);
      return { index: proof.index, size: tree.size, root: tree.root, signed: tree.time,
        replaced: version < directory.root.version };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}

function openManifest(bytes, entry, directory) {
  const statement = readStatement(parseJson(bytes, 262144));
  const manifest = parseManifest(statement.payload);
  good(manifest.digest === entry.msg && manifest.from === entry.from, "NODE-194: another message's manifest");
  check(manifest.fed === directory.fed, "federation_mismatch", "MSG-5: another federation");
  check(statement.pairs.length === 1, "suite_unknown", "MSG-4: more than one pair");
  directory.verify(statement.pairs[0], statement.encoded, "ix-msg+jws", entry.from, entry.at);
  return manifest;
}

/** What stands beside a proof: what its entry names, signed by whom it names. */
function openBeside({ beside, entry }, directory) {
  if ("manifest" in beside) return { manifest: openManifest(unb64u(beside.manifest), entry, directory) };
  if (!("statement" in beside)) return {};
  const bytes = unb64u(beside.statement);
  if (entry.typ === "act") {
    const act = openAct(parseJson(bytes, 262144), directory, entry.at);
    good(act.digest === entry.statement && act.by === entry.by, "NODE-194: another act");
    return { act };
  }
  if (entry.typ === "receipt") {
    const batch = openReceipts(parseJson(bytes, 262144), directory, entry.at);
    const says = batch.items.some((one) => one.msg === entry.msg && one.status === entry.status && one.code === entry.code);
    good(batch.digest === entry.batch && batch.by === entry.by && says, "NODE-194: another batch");
    return { batch };
  }
  good(entry.typ === "node-head" && digest(bytes) === entry.head, "NODE-194: a statement of something else");
  const head = openHead(bytes, entry.by, directory, entry.at);
  return { note: head };
}
