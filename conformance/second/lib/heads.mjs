// Heads of ledgers: spec/log.md, LOG-90 to LOG-97; and the checkpoint that a receipt tells of: spec/receipts.md, RCT-7.

import { check } from "./encoding.mjs";
import { SKEW, counts } from "./directory.mjs";
import { PAIR } from "./signing.mjs";
import { keyId, readCheckpoint, verifyLines } from "./log.mjs";

const LONGEST = 8192;
const TYPES = [0x01, 0x06];
const bad = (condition, sentence) => check(condition, "checkpoint_invalid", sentence);

/** LOG-91. */
export const ledgerOrigin = (log, agency) => `${log.origin}/ledger/${agency}`;

/** LOG-92, LOG-93: a head of this agency's ledger, by the records that `directory` knows, at an instant. */
export function openHead(bytes, agency, directory, instant) {
  check(bytes.length <= LONGEST, "too_large", "LOG-92: more than 8192 bytes");
  const read = readCheckpoint(bytes.toString("utf8"));
  bad(Buffer.from(read.text).equals(bytes.subarray(0, Buffer.byteLength(read.text))), "LOG-19: not UTF-8");
  bad(read.origin === ledgerOrigin(directory.root.log, agency), "LOG-91: another origin");
  bad(read.size >= 1, "LOG-92: of no acts");
  bad(read.signatures.length === 2, "LOG-92: not exactly two lines");
  bad(read.signatures.every((line) => line.name === read.origin), "LOG-92: a line by another name");
  bad(read.signatures[0].signature.length === 64 && read.signatures[1].signature.length === 2428, "LOG-17: another order");
  const able = read.signatures.map((line, i) => keysOf(line, i, read.origin, directory.newest(agency), instant));
  const [eds, mls] = able.map((keys) => keys.map((key) => key.pub));
  const time = anyOf(eds.flatMap((ed) => mls.map((ml) => [ed, ml])), (pair) =>
    verifyLines(read, read.signatures.map((line) => line.signature), pair));
  bad(time <= instant + SKEW, "LOG-92: from the future");
  return { size: read.size, root: read.root, time };
}

/** LOG-93: the keys with the id of a line that count at the instant. */
function keysOf(line, i, origin, record, instant) {
  const listed = record.keys.filter((key) =>
    key.use === "sig" && key.alg === PAIR[i] && keyId(origin, TYPES[i], key.pub).equals(line.id));
  check(listed.length > 0, "key_unknown", "LOG-93: a key that the record does not list");
  const good = listed.filter((key) => counts(key, instant));
  check(good.length > 0, "key_not_valid", "LOG-93: a key that does not count at that time");
  return good;
}

/** What the first gives that is not refused; else the refusal of the last. */
function anyOf(list, act) {
  for (const one of list.slice(0, -1)) {
    try {
      return act(one);
    } catch {
      // another key may have this id
    }
  }
  return act(list.at(-1));
}

/** RCT-10, WIT-53: whether both lines name the log's keys of one root, whoever made them. */
export function namesLog({ origin, signatures }, directory) {
  return directory.roots.some(({ log }) => log.origin === origin
    && log.publics.every((pub, i) => keyId(origin, TYPES[i], pub).equals(signatures[i].id)));
}

/** RCT-7: the form of a `seen`; nothing is verified. */
export function readSeen(note) {
  check(typeof note === "string", "checkpoint_invalid", "RCT-7: no text");
  const read = readCheckpoint(note);
  bad(read.origin.length > 0 && Buffer.byteLength(read.origin) <= 255, "RCT-7: the name");
  bad(read.signatures.length === 2, "RCT-7: not exactly two lines");
  bad(read.signatures.every((line) => line.name === read.origin), "RCT-7: a line by another name");
  bad(read.signatures[0].signature.length === 64 && read.signatures[1].signature.length === 2428, "RCT-7: another order");
  return read;
}
