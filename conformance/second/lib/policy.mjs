// Agreements, notices, and how a decision is made: spec/agreements.md.

import {
  AGENCY, ascii, check, digest, isCount, isList, isText, members, parseJson, parseTime,
} from "./encoding.mjs";
import { SKEW } from "./directory.mjs";
import { isDigest, readStatement } from "./signing.mjs";
import * as codes from "./vocabulary.mjs";


/** A text of AGR-4. */
function text(value) {
  if (typeof value !== "string" || [...value].length < 1 || [...value].length > 200) return false;
  if (value.startsWith(" ") || value.endsWith(" ")) return false;
  return !/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/.test(value);
}

// --- agreements ------------------------------------------------------------------------------------------------------

const TERMS = ["v", "typ", "fed", "id", "version", "replaces?", "title", "kind", "parties", "bases", "territory",
  "start", "end", "clauses"];
const CLAUSE = ["id", "effect", "title", "from", "to", "types", "purposes", "crimes", "cats"];
const CONDITIONS = ["handling_required", "urgency", "onward", "retention_days?", "evidence", "human_release"];

const good = (condition, sentence) => check(condition, "agreement_malformed", sentence);
const set = (value, low, high, test, what) => {
  good(isList(value, low, high) && value.every(test), `AGR-3: ${what}`);
  good(new Set(value).size === value.length, `AGR-4: ${what}: a value twice`);
};
const among = (list, ...more) => (value) => typeof value === "string" && [...list, ...more].includes(value);
const agency = (value) => isText(value, AGENCY);
const who = (value) => agency(value) || value === "party:any" || codes.ROLE.some((role) => value === `role:${role}`);

/** AGR-2 to AGR-10. */
export function readTerms(payload) {
  const it = members(parseJson(payload, 65536), TERMS, "agreement_malformed", "AGR-2: an agreement");
  good(it.v === "ix/1" && it.typ === "agreement" && isDigest(it.fed), "AGR-3: v, typ or fed");
  good(isText(it.id, /^[a-z0-9][a-z0-9-]{0,63}$/) && isCount(it.version, 1, 9999), "AGR-3: id or version");
  good(it.version === 1 ? !("replaces" in it) : isDigest(it.replaces), "AGR-3: replaces");
  good(text(it.title) && among(codes.KIND)(it.kind), "AGR-3: title or kind");
  set(it.parties, 2, 32, agency, "parties");
  set(it.bases, 0, 64, among(codes.BASIS), "bases");
  set(it.territory, 0, 64, (code) => isText(code, /^X[A-JL-Z]$/), "territory");
  const [start, end] = [it.start, it.end].map((time) => parseTime(time, "agreement_malformed"));
  good(start < end, "AGR-3: starts after its end");
  good(isList(it.clauses, 1, 64), "AGR-3: clauses");
  it.clauses.forEach(readClause);
  good(new Set(it.clauses.map((clause) => clause.id)).size === it.clauses.length, "AGR-4: a clause id twice");
  return { ...it, start, end, digest: digest(payload) };
}

function readClause(it) {
  const permits = it?.effect === "permit";
  members(it, permits ? [...CLAUSE, "class_max", "conditions"] : CLAUSE, "agreement_malformed", "AGR-6: a clause");
  good(permits || it.effect === "forbid", "AGR-6: effect");
  good(isText(it.id, /^[a-z][a-z0-9_-]{0,11}$/) && text(it.title), "AGR-4: id or title of a clause");
  const any = permits ? [] : ["any"];
  set(it.from, 0, 64, who, "from");
  set(it.to, 0, 64, who, "to");
  set(it.types, 0, 64, among(codes.TYPE, ...any), "types");
  set(it.purposes, 0, 64, among(codes.PURPOSE, ...any), "purposes");
  set(it.crimes, 0, 64, among(codes.CRIME, ...any), "crimes");
  set(it.cats, 0, 64, among(codes.CATEGORY, ...any), "cats");
  if (!permits) return;
  good(among(codes.CLASS)(it.class_max), "AGR-8: class_max");
  const conditions = members(it.conditions, CONDITIONS, "agreement_malformed", "AGR-10: conditions");
  set(conditions.handling_required, 0, 64, among(codes.HANDLING), "handling_required");
  set(conditions.urgency, 0, 64, among(codes.URGENCY), "urgency");
  good(among(codes.ONWARD)(conditions.onward), "AGR-10: onward");
  good(typeof conditions.evidence === "boolean" && typeof conditions.human_release === "boolean", "AGR-10: booleans");
  good(!("retention_days" in conditions) || isCount(conditions.retention_days, 1, 3650), "AGR-10: retention_days");
}

/** AGR-5, AGR-12 to AGR-15: a complete agreement, its signatures judged at an instant. */
export function openAgreement(value, directory, instant) {
  const statement = readStatement(value, 65536);
  const terms = readTerms(statement.payload);
  check(terms.fed === directory.fed, "federation_mismatch", "AGR-5: another federation");
  for (const party of terms.parties) directory.newest(party);
  const signed = new Set();
  for (const pair of statement.pairs) {
    const owner = directory.keys.get(pair[0].kid)?.agency;
    check(owner, "key_unknown", "KEY-10: no record lists the key");
    check(terms.parties.includes(owner), "signer_not_party", "AGR-13: signed by somebody who is no party");
    check(!signed.has(owner), "signed_twice", "AGR-14: a party signed twice");
    directory.verify(pair, statement.encoded, "ix-agr+jws", owner, instant);
    signed.add(owner);
  }
  check(signed.size === terms.parties.length, "signatures_missing", "AGR-12: not signed by every party");
  return terms;
}

const NOTICE = ["v", "typ", "act", "fed", "agr", "by", "ts", "reason"];

/** AGR-22: its form and signature; whether it may be given is the book's to say. */
export function openNotice(value, directory, instant) {
  const statement = readStatement(value, 4096);
  const it = members(parseJson(statement.payload, 4096), NOTICE, "notice_malformed", "AGR-22: a notice");
  const form = (condition) => check(condition, "notice_malformed", "AGR-22: a member of a notice");
  form(it.v === "ix/1" && it.typ === "notice" && among(["suspend", "resume", "leave"])(it.act) && isDigest(it.fed));
  form(isDigest(it.agr) && agency(it.by) && text(it.reason));
  const given = parseTime(it.ts, "notice_malformed");
  check(it.fed === directory.fed, "federation_mismatch", "AGR-22: another federation");
  check(statement.pairs.length === 1, "notice_refused", "AGR-22: not exactly one pair");
  directory.verify(statement.pairs[0], statement.encoded, "ix-ntc+jws", it.by, instant);
  return { ...it, given, digest: statement.digest };
}

// --- the policy book -------------------------------------------------------------------------------------------------

export class Book {
  constructor() {
    this.agreements = new Map(); // digest -> terms, with its log time
    this.notices = [];
    this.logged = []; // what was logged, in the order of the log
  }

  /** AGR-17, AGR-20. */
  enter(terms, logged) {
    if (this.agreements.has(terms.digest)) return;
    if ("replaces" in terms) {
      const old = this.agreements.get(terms.replaces);
      const refused = (condition) => check(condition, "agreement_refused", "AGR-20: does not follow");
      refused(old && old.id === terms.id && old.version === terms.version - 1 && !this.successor(old.digest));
      const left = this.about(old.digest).filter((notice) => notice.act === "leave").map((notice) => notice.by);
      refused(old.parties.every((party) => terms.parties.includes(party) || left.includes(party)));
    }
    this.agreements.set(terms.digest, { ...terms, logged });
    this.logged.push({ digest: terms.digest, logged });
  }

  /** AGR-23 to AGR-26. */
  note(notice, logged) {
    if (this.notices.some((one) => one.digest === notice.digest)) return;
    const refused = (condition, sentence) => check(condition, "notice_refused", sentence);
    refused(this.agreements.get(notice.agr)?.parties.includes(notice.by), "AGR-23: not a party of an agreement");
    const own = this.about(notice.agr).filter((one) => one.by === notice.by);
    refused(notice.given <= logged + SKEW, "AGR-24: from the future");
    refused(own.every((one) => one.given < notice.given), "AGR-24: not later than an earlier notice");
    refused(!own.some((one) => one.act === "leave"), "AGR-26: has left");
    const suspended = own.at(-1)?.act === "suspend";
    refused(notice.act === "leave" || (notice.act === "suspend") !== suspended, "AGR-25: changes nothing");
    this.notices.push({ ...notice, logged });
    this.logged.push({ digest: notice.digest, logged });
  }

  about(agr) {
    return this.notices.filter((notice) => notice.agr === agr);
  }

  successor(agr) {
    return [...this.agreements.values()].find((one) => one.replaces === agr);
  }

  /** AGR-18, as the code that AGR-33 has for it; `undefined` is in force. */
  state(agr, now) {
    const it = this.agreements.get(agr);
    if (!it) return "agreement_unknown";
    if (now < it.start || now < it.logged) return "agreement_not_in_force";
    if (now >= it.end) return "agreement_expired";
    const next = this.successor(agr);
    if (next && now >= next.start && now >= next.logged) return "agreement_superseded";
    const acts = new Map();
    for (const notice of this.about(agr)) if (notice.logged <= now) acts.set(notice.by, notice.act);
    if ([...acts.values()].includes("leave")) return "agreement_not_in_force";
    if ([...acts.values()].includes("suspend")) return "agreement_suspended";
    return undefined;
  }

  inForce(now) {
    return [...this.agreements.values()].filter((one) => this.state(one.digest, now) === undefined);
  }

  /** AGR-28. */
  policy(now) {
    let name = digest(ascii(""));
    for (const one of this.logged) {
      if (one.logged > now) break;
      name = digest(ascii(`${name}\n${one.digest}`));
    }
    return name;
  }

  /** AGR-30 to AGR-42. `asked`: from, to (ids), agr and the message's codes; `recordOf(id)` at the instant. */
  decide(asked, recordOf, now) {
    const to = asked.to.map((id) => ({ id, ...this.decideOne(asked, id, recordOf, now) }));
    const denied = codes.DENIALS.find((code) => to.some((one) => one.code === code));
    return { code: to.length === 0 ? "no_clause" : (denied ?? "permitted"), to, policy: this.policy(now) };
  }

  decideOne(asked, recipient, recordOf, now) {
    const both = (one) => one.parties.includes(asked.from) && one.parties.includes(recipient);
    const rules = this.inForce(now).filter(both).sort(byName).flatMap((one) =>
      one.clauses.map((clause) => ({ agreement: one, clause })));
    const misses = (clause) => missed(clause, asked, recipient, recordOf);
    const forbids = rules.filter(({ clause }) => clause.effect === "forbid" && misses(clause).length === 0);
    if (forbids.length > 0) return { code: "forbidden", clauses: [], nearest: ownFirst(forbids, asked.agr) };
    const permits = rules.filter(({ clause }) => clause.effect === "permit");
    const denied = (code) => ({ code, clauses: [], nearest: nearest(permits, asked.agr, misses) });
    const state = this.state(asked.agr, now);
    if (state) return denied(state);
    if (!both(this.agreements.get(asked.agr))) return denied("not_a_party");
    if (!underCeiling(asked.class, recordOf(recipient))) return denied("above_ceiling");
    const matching = permits.filter((one) => one.agreement.digest === asked.agr && misses(one.clause).length === 0);
    if (matching.length === 0) return denied("no_clause");
    return { code: "permitted", clauses: matching.map((one) => one.clause.id) };
  }
}

function byName(a, b) {
  if (a.id !== b.id) return a.id < b.id ? -1 : 1;
  if (a.version !== b.version) return a.version - b.version;
  return a.digest < b.digest ? -1 : 1;
}

/** AGR-39. */
function underCeiling(level, record) {
  return codes.CLASS.includes(level) && codes.CLASS.indexOf(level) <= codes.CLASS.indexOf(record?.ceiling);
}

/** AGR-8, AGR-9, AGR-11: the names of the conditions that a clause misses. Both are parties already. */
function missed(clause, asked, recipient, recordOf) {
  const names = (list, id) =>
    list.some((one) => one === id || one === "party:any" || (recordOf(id)?.roles ?? []).some((role) => one === `role:${role}`));
  const forbids = clause.effect === "forbid";
  const holds = (list, code) => list.includes(code) || (forbids && list.includes("any"));
  const { conditions } = clause;
  const held = {
    from: names(clause.from, asked.from),
    to: names(clause.to, recipient),
    type: holds(clause.types, asked.type),
    purpose: holds(clause.purposes, asked.purpose),
    crime: holds(clause.crimes, asked.crime),
    urgency: forbids || conditions.urgency.includes(asked.urgency),
    class: forbids || codes.CLASS.indexOf(asked.class) <= codes.CLASS.indexOf(clause.class_max),
    ceiling: forbids || underCeiling(asked.class, recordOf(recipient)),
    cats: forbids
      ? clause.cats.includes("any") || asked.cats.some((cat) => clause.cats.includes(cat))
      : asked.cats.every((cat) => clause.cats.includes(cat)),
    handling: forbids || conditions.handling_required.every((code) => asked.handling.includes(code)),
  };
  return Object.keys(held).filter((name) => !held[name]);
}

/** LOG-34: an entry names a clause of the agreement named, or none. */
const ownFirst = (rules, agr) => rules.find((one) => one.agreement.digest === agr)?.clause.id;

/** AGR-40, as far as an entry shows it. `permits` stand in the order of AGR-40 already. */
function nearest(permits, agr, misses) {
  const counted = permits.map((one) => ({ ...one, count: misses(one.clause).length }));
  counted.sort((a, b) => a.count - b.count); // stable: equal ones keep their order
  return ownFirst(counted, agr);
}
