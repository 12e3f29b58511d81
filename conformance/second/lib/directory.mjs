// The federation root, agency records, and when a key counts: spec/keys.md, KEY-9 to KEY-27.

import {
  AGENCY, check, isCount, isList, isText, members, parseJson, parseTime, refuse, unb64u,
} from "./encoding.mjs";
import { PAIR, checkEd25519, checkMldsa44, isDigest, kid, readStatement, verifyPair } from "./signing.mjs";
import { checkEncryptionKey } from "./sealing.mjs";

export const SKEW = 5 * 60 * 1000;
const CODE = /^[a-z][a-z0-9_]{0,39}$/;
const TERRITORY = /^(AA|Q[M-Z]|X[A-JL-Z]|ZZ)$/;
const ENC = "HPKE-647a-0001-0002";
const KINDS = { "sig Ed25519": checkEd25519, "sig ML-DSA-44": checkMldsa44, [`enc ${ENC}`]: checkEncryptionKey,
  "tls Ed25519": checkEd25519, [`prot ${ENC}`]: checkEncryptionKey };
const LIMITS = { payload: 262144, directory: 67108864 };

/** Printable as KEY-21 has it; characters are counted as code points. */
export function printable(value) {
  return typeof value === "string" && [...value].length >= 1 && [...value].length <= 120 && !UNPRINTABLE.test(value);
}
const UNPRINTABLE = new RegExp(
  "[\\u0000-\\u001f\\u007f-\\u00a0\\u00ad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u1680\\u180e"
  + "\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ud800-\\uf8ff\\ufeff\\ufff0-\\uffff\\u{110bd}\\u{110cd}"
  + "\\u{13430}-\\u{1343f}\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{10ffff}]", "u");

/** Refusals of a form have the code of what is read (ENC-8); those of the encoding keep their own. */
const root = (condition, sentence) => check(condition, "root_refused", sentence);
const record = (condition, sentence) => check(condition, "record_refused", sentence);

// --- the root --------------------------------------------------------------------------------------------------------

const ROOT = ["v", "typ", "simulation", "notice", "name", "version", "prev?", "issued", "expires", "threshold",
  "root_keys", "enrolment", "log", "broker", "min_protocol"];

function publicPair(value, extra = []) {
  members(value, [...extra, "ed25519", "mldsa44"], "root_refused", "KEY-21: a key");
  const publics = [checkEd25519(unb64u(value.ed25519)), checkMldsa44(unb64u(value.mldsa44))];
  return { publics, kids: publics.map((pub, i) => kid[PAIR[i]](pub)) };
}

function readRoot(value) {
  const statement = readStatement(value, LIMITS.payload);
  const it = members(parseJson(statement.payload, LIMITS.payload), ROOT, "root_refused", "KEY-21: a root");
  root(it.simulation === true, "KEY-20: not marked as a simulation");
  root(it.v === "ix/1" && it.typ === "root", "KEY-21: no root of ix/1");
  root(it.notice === "SIMULATION - synthetic data only" && printable(it.name), "KEY-21: notice or name");
  root(isCount(it.version, 1, 1000000), "KEY-21: version");
  root(it.version === 1 ? !("prev" in it) : isDigest(it.prev), "KEY-21: prev");
  const [issued, expires] = [parseTime(it.issued, "root_refused"), parseTime(it.expires, "root_refused")];
  root(issued < expires, "KEY-21: expires before it was issued");
  root(isList(it.root_keys, 1, 16) && isList(it.enrolment, 1, 8), "KEY-21: root keys or enrolment keys");
  root(isCount(it.threshold, 1, Math.min(16, it.root_keys.length)), "KEY-21: threshold");
  const [rootKeys, enrolment] = [it.root_keys, it.enrolment].map((keys) => keys.map((key) => publicPair(key)));
  const log = { ...publicPair(it.log, ["origin"]), origin: it.log.origin };
  root(isText(log.origin, /^[A-Za-z0-9._/-]{1,120}$/), "KEY-21: the log's origin");
  members(it.broker, ["id", "transport"], "root_refused", "KEY-21: the broker");
  root(isText(it.broker.id, AGENCY) && isList(it.broker.transport, 1, 8), "KEY-21: the broker");
  const transport = it.broker.transport.map((pub) => kid.Ed25519(checkEd25519(unb64u(pub))));
  const kids = [...rootKeys, ...enrolment, log].flatMap((key) => key.kids).concat(transport);
  root(new Set(kids).size === kids.length, "KEY-21: a key that is there twice");
  root(isText(it.min_protocol, /^ix\/[1-9][0-9]{0,3}$/), "KEY-21: min_protocol");
  return {
    statement, kids, rootKeys, enrolment, log, transport, issued, expires, version: it.version, prev: it.prev,
    threshold: it.threshold, name: it.name, broker: it.broker.id, speaks: Number(it.min_protocol.slice(3)),
  };
}

/** KEY-22: who signed, each pair by one listed key, none twice, every pair good. */
function signers(statement, lists) {
  const seen = new Set();
  for (const pair of statement.pairs) {
    const key = lists.flat().find((one) => one.kids[0] === pair[0].kid && one.kids[1] === pair[1].kid);
    root(key, "KEY-22: signed by a key that is not listed");
    root(!seen.has(key.kids[0]), "KEY-22: one key signed twice");
    verifyPair(pair, statement.encoded, "ix-root+jws", (kid_, i) => key.publics[i]);
    seen.add(key.kids[0]);
  }
  return (list) => list.filter((key) => seen.has(key.kids[0])).length;
}

function followRoots(values, fed, now) {
  root(isList(values, 1, Infinity), "KEY-20: no root");
  const chain = [];
  for (const value of values) {
    const it = readRoot(value);
    const before = chain.at(-1);
    root(it.version === chain.length + 1, "KEY-24: versions with gaps");
    if (!before) root(it.statement.digest === fed, "KEY-20: not the pinned federation");
    else root(it.prev === before.statement.digest && it.issued >= before.issued, "KEY-24: does not follow");
    const count = signers(it.statement, before ? [before.rootKeys, it.rootKeys] : [it.rootKeys]);
    root(count(it.rootKeys) >= it.threshold, "KEY-22: under its threshold");
    if (before) root(count(before.rootKeys) >= before.threshold, "KEY-22: under the threshold of the one before");
    chain.push(it);
  }
  const newest = chain.at(-1);
  root(newest.expires > now, "KEY-23: the root has expired");
  root(newest.issued <= now + SKEW, "KEY-23: the root is from the future");
  root(newest.speaks <= 1, "KEY-23: needs a newer protocol");
  return chain;
}

// --- records ---------------------------------------------------------------------------------------------------------

const RECORD = ["v", "typ", "fed", "agency", "name", "roles", "territory", "ceiling", "version", "prev?", "issued",
  "keys"];

function readKey(value) {
  members(value, ["use", "alg", "kid", "pub", "nbf", "exp", "revoked?", "reason?"], "record_refused", "KEY-15: a key");
  const verifyKey = KINDS[`${value.use} ${value.alg}`];
  record(typeof value.use === "string" && typeof value.alg === "string" && verifyKey, "KEY-15: use and alg");
  const pub = verifyKey(unb64u(value.pub));
  record(kid[value.alg](pub) === value.kid, "KEY-7: a key id of another key");
  const [nbf, exp] = [parseTime(value.nbf, "record_refused"), parseTime(value.exp, "record_refused")];
  record(nbf < exp, "KEY-15: exp is not after nbf");
  record("revoked" in value === "reason" in value, "KEY-15: revoked and reason go together");
  if (!("revoked" in value)) return { use: value.use, alg: value.alg, kid: value.kid, pub, nbf, exp };
  record(printable(value.reason), "KEY-15: reason");
  const revoked = parseTime(value.revoked, "record_refused");
  return { use: value.use, alg: value.alg, kid: value.kid, pub, nbf, exp, revoked, reason: value.reason };
}

function readRecord(value, fed, enrolment, now) {
  const statement = readStatement(value, LIMITS.payload);
  record(statement.pairs.length === 1, "KEY-15: not exactly one pair");
  const it = members(parseJson(statement.payload, LIMITS.payload), RECORD, "record_refused", "KEY-15: a record");
  record(it.v === "ix/1" && it.typ === "record" && it.fed === fed, "KEY-15: no record of this federation");
  record(isText(it.agency, AGENCY), "KEY-13: not an agency id");
  record(printable(it.name), "KEY-15: name");
  record(isList(it.roles, 1, 8) && it.roles.every((role) => isText(role, CODE)), "KEY-15: roles");
  record(new Set(it.roles).size === it.roles.length, "KEY-15: a role twice");
  record(isText(it.territory, TERRITORY) && isText(it.ceiling, CODE), "KEY-15: territory or ceiling");
  record(isCount(it.version, 1, 1000000), "KEY-15: version");
  record(it.version === 1 ? !("prev" in it) : isDigest(it.prev), "KEY-15: prev");
  const issued = parseTime(it.issued, "record_refused");
  record(issued <= now + SKEW, "KEY-15: issued in the future");
  record(isList(it.keys, 1, 256), "KEY-15: keys");
  const keys = it.keys.map(readKey);
  record(new Set(keys.map((key) => key.kid)).size === keys.length, "KEY-17: a key twice");
  const kinds = new Set(keys.map((key) => `${key.use} ${key.alg}`));
  const four = [...kinds].filter((kind) => !kind.startsWith("prot ")).length;
  record(four === 4, "KEY-15: not at least one key of each of the four kinds");
  const [pair] = statement.pairs;
  const by = enrolment.find((key) => key.kids[0] === pair[0].kid && key.kids[1] === pair[1].kid);
  check(by, "key_unknown", "KEY-15: not signed by an enrolment key");
  verifyPair(pair, statement.encoded, "ix-rec+jws", (kid_, i) => by.publics[i]);
  return { ...it, statement, issued, keys };
}

/** KEY-14 and KEY-16. */
function follows(it, before) {
  record(it.version === (before ? before.version + 1 : 1), "KEY-14: versions with gaps");
  if (!before) return newKeys(it, it.keys);
  record(it.prev === before.statement.digest && it.issued >= before.issued, "KEY-14: does not follow");
  for (const old of before.keys) {
    const key = it.keys.find((one) => one.kid === old.kid);
    record(key, "KEY-16: leaves out a key");
    record(key.use === old.use && key.alg === old.alg && key.nbf === old.nbf, "KEY-16: changes a key");
    record(key.exp === old.exp || (key.exp < old.exp && key.exp >= it.issued), "KEY-16: exp");
    const [was, is] = [old.revoked, key.revoked];
    if (was === undefined) {
      record(is === undefined || is >= it.issued, "KEY-16: revoked in the past");
      continue;
    }
    record(is !== undefined && is <= was, "KEY-16: revocation taken away or put off");
    if (was < it.issued) record(is === was && key.reason === old.reason, "KEY-16: changes a revocation that has passed");
    if (is !== was) record(is >= it.issued, "KEY-16: revoked in the past");
  }
  newKeys(it, it.keys.filter((one) => !before.keys.some((old) => old.kid === one.kid)));
}

/** KEY-16.5; in version 1 every key is new. */
function newKeys(it, keys) {
  for (const key of keys) {
    record(key.nbf >= it.issued && (key.revoked ?? Infinity) >= it.issued, "KEY-16: a new key from the past");
  }
}

// --- the directory ---------------------------------------------------------------------------------------------------

export class Directory {
  /** KEY-25: all of it from the pinned federation id up, or nothing. */
  constructor(value, fed, now) {
    members(value, ["roots", "records"], "malformed", "KEY-25: a directory");
    check(Array.isArray(value.roots) && Array.isArray(value.records), "malformed", "KEY-25: a directory");
    this.fed = fed;
    this.roots = followRoots(value.roots, fed, now);
    this.root = this.roots.at(-1);
    this.agencies = new Map(); // id -> versions, oldest first
    this.keys = new Map(); // kid -> { agency, newest state of the key }
    const rooted = new Set(this.roots.flatMap((one) => one.kids));
    for (const statement of value.records) {
      const it = readRecord(statement, fed, this.root.enrolment, now);
      record(!this.roots.some((one) => one.broker === it.agency), "KEY-13: the broker's id");
      const versions = this.agencies.get(it.agency) ?? [];
      follows(it, versions.at(-1));
      for (const key of it.keys) {
        const owner = this.keys.get(key.kid)?.agency ?? it.agency;
        record(owner === it.agency && !rooted.has(key.kid), "KEY-17: a key that others have");
        this.keys.set(key.kid, { ...key, agency: it.agency });
      }
      this.agencies.set(it.agency, [...versions, it]);
    }
  }

  static parse(bytes, fed, now) {
    return new Directory(parseJson(bytes, LIMITS.directory), fed, now);
  }

  /** What is known when only these records are: agency -> its newest. For an audit, which judges as of each entry. */
  knowing(records) {
    const view = Object.assign(Object.create(Directory.prototype), this, { agencies: new Map(), keys: new Map() });
    for (const [agency, it] of records) {
      view.agencies.set(agency, [it]);
      for (const key of it.keys) view.keys.set(key.kid, { ...key, agency });
    }
    return view;
  }

  newest(agency) {
    const versions = this.agencies.get(agency);
    check(versions, "agency_unknown", `KEY-13: no record of ${agency}`);
    return versions.at(-1);
  }

  /** KEY-10 to KEY-12, in their order: the key, if it is this agency's, for this use, and counts at the instant. */
  key(id, agency, use, instant, alg) {
    this.newest(agency);
    const key = this.keys.get(id);
    check(key, "key_unknown", "KEY-10: no record lists the key");
    check(key.agency === agency, "key_not_theirs", "KEY-11: the key is another agency's");
    check(key.use === use, "key_not_valid", "KEY-12: the key is listed for another use");
    check(!alg || key.alg === alg, "wrong_algorithm", "KEY-3: the key is of another algorithm");
    check(counts(key, instant), "key_not_valid", "KEY-12: the key does not count at that time");
    return key;
  }

  /** KEY-3 to KEY-5, KEY-10 to KEY-12: one pair by this agency, for this purpose, at this instant. */
  verify(pair, encoded, typ, agency, instant) {
    this.newest(agency);
    verifyPair(pair, encoded, typ, (id, i) => this.key(id, agency, "sig", instant, PAIR[i]).pub);
  }

  /** KEY-26. */
  sealingKey(agency, instant) {
    const key = this.newestKey(agency, "enc", instant);
    return key ?? refuse("key_not_valid", `KEY-26: ${agency} has no encryption key that counts`);
  }

  /** KEY-27; an agency may have none. */
  roleKey(agency, instant) {
    return this.newestKey(agency, "prot", instant);
  }

  newestKey(agency, use, instant) {
    let best;
    for (const key of this.newest(agency).keys) {
      if (key.use === use && counts(key, instant) && (!best || key.nbf > best.nbf)) best = key;
    }
    return best;
  }
}

export const counts = (key, instant) =>
  key.nbf <= instant && instant < key.exp && (key.revoked === undefined || instant < key.revoked);

