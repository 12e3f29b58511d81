// Agreements, notices, and how a decision is made: spec/agreements.md.

import { readFileSync } from "node:fs";
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

const TERMS = ["v", "typ", "fed", "id", "version", "replaces?", "title", "kind", "parties", "groups?", "bases",
  "territory", "start", "end", "purge_days?", "clauses"];
const CLAUSE = ["id", "effect", "title", "from", "to", "types", "purposes", "crimes", "cats"];
const CONDITIONS = ["handling_required", "urgency", "copy_to?", "copy_exempt?", "transfer?", "onward", "retention_days?",
  "review_days?", "evidence", "human_release", "second_approver?", "readers?"];
const DAY = 86400000;
const PLACE = /^X[A-JL-Z]$/;
const CODE = /^[a-z][a-z0-9_]{0,31}$/;
const CLAUSE_ID = /^[a-z][a-z0-9_-]{0,11}$/;

const good = (condition, sentence) => check(condition, "agreement_malformed", sentence);
const set = (value, low, high, test, what) => {
  good(isList(value, low, high) && value.every(test), `AGR-3: ${what}`);
  good(new Set(value).size === value.length, `AGR-4: ${what}: a value twice`);
};
const among = (list, ...more) => (value) => typeof value === "string" && [...list, ...more].includes(value);
const agency = (value) => isText(value, AGENCY);
const named = (value, kind, test) => typeof value === "string" && value.startsWith(`${kind}:`) && test(value.slice(kind.length + 1));
const who = (groups) => (value) => agency(value) || value === "party:any" || named(value, "role", among(codes.ROLE))
  || named(value, "territory", (code) => isText(code, PLACE)) || named(value, "group", (id) => groups.has(id));

/** AGR-2 to AGR-10. */
export function readTerms(payload) {
  const it = members(parseJson(payload, 65536), TERMS, "agreement_malformed", "AGR-2: an agreement");
  good(it.v === "ix/1" && it.typ === "agreement" && isDigest(it.fed), "AGR-3: v, typ or fed");
  good(isText(it.id, /^[a-z0-9][a-z0-9-]{0,63}$/) && isCount(it.version, 1, 9999), "AGR-3: id or version");
  good(it.version === 1 ? !("replaces" in it) : isDigest(it.replaces), "AGR-3: replaces");
  good(text(it.title) && among(codes.KIND)(it.kind), "AGR-3: title or kind");
  set(it.parties, 2, 32, agency, "parties");
  good(it.id !== "floor", "AGR-50: the floor's name");
  const groups = new Map();
  if ("groups" in it) {
    good(isList(it.groups, 0, 16), "AGR-3: groups");
    for (const one of it.groups) groups.set(one?.id, readGroup(one, it.parties));
    good(groups.size === it.groups.length, "AGR-50: a group id twice");
  }
  good(!("purge_days" in it) || isCount(it.purge_days, 0, 28), "AGR-3: purge_days");
  set(it.bases, 0, 64, among(codes.BASIS), "bases");
  set(it.territory, 0, 64, (code) => isText(code, PLACE), "territory");
  const [start, end] = [it.start, it.end].map((time) => parseTime(time, "agreement_malformed"));
  good(start < end, "AGR-3: starts after its end");
  good(isList(it.clauses, 1, 64), "AGR-3: clauses");
  it.clauses.forEach((clause) => readClause(clause, groups, it.parties));
  good(new Set(it.clauses.map((clause) => clause.id)).size === it.clauses.length, "AGR-4: a clause id twice");
  return { ...it, groups, start, end, digest: digest(payload) };
}

/** AGR-51. */
function readGroup(it, parties) {
  members(it, ["id", "members", "until", "purposes"], "agreement_malformed", "AGR-51: a group");
  good(isText(it.id, CLAUSE_ID), "AGR-51: the id of a group");
  set(it.members, 0, 32, (id) => agency(id) && parties.includes(id), "members of a group");
  set(it.purposes, 0, 64, among(codes.PURPOSE), "purposes of a group");
  return { ...it, until: parseTime(it.until, "agreement_malformed") };
}

function readClause(it, groups, parties) {
  const permits = it?.effect === "permit";
  members(it, [...CLAUSE, ...(permits ? ["class_max", "conditions"] : ["reach?"])], "agreement_malformed", "AGR-6: a clause");
  good(permits || it.effect === "forbid", "AGR-6: effect");
  good(isText(it.id, CLAUSE_ID) && text(it.title), "AGR-4: id or title of a clause");
  good(!it.id.startsWith("floor-"), "AGR-50: the floor's names");
  good(!("reach" in it) || among(["parties", "everyone"])(it.reach), "AGR-52: reach");
  const any = permits ? [] : ["any"];
  set(it.from, 0, 64, who(groups), "from");
  set(it.to, 0, 64, who(groups), "to");
  set(it.types, 0, 64, among(codes.TYPE, ...any), "types");
  set(it.purposes, 0, 64, among(codes.PURPOSE, ...any), "purposes");
  set(it.crimes, 0, 64, among(codes.CRIME, ...any), "crimes");
  set(it.cats, 0, 64, among(codes.CATEGORY, ...any), "cats");
  for (const name of [...it.from, ...it.to].filter((one) => one.startsWith("group:"))) {
    const { purposes } = groups.get(name.slice(6));
    good(it.purposes.every((purpose) => purpose === "any" || purposes.includes(purpose)), "AGR-50: a group's purposes");
  }
  if (!permits) return;
  good(among(codes.CLASS)(it.class_max), "AGR-8: class_max");
  const conditions = members(it.conditions, CONDITIONS, "agreement_malformed", "AGR-10: conditions");
  set(conditions.handling_required, 0, 64, among(codes.HANDLING), "handling_required");
  set(conditions.urgency, 0, 64, among(codes.URGENCY), "urgency");
  good(among(codes.ONWARD)(conditions.onward), "AGR-10: onward");
  good(typeof conditions.evidence === "boolean" && typeof conditions.human_release === "boolean", "AGR-10: booleans");
  for (const name of ["retention_days", "review_days"]) {
    good(!(name in conditions) || isCount(conditions[name], 1, 3650), `AGR-10: ${name}`);
  }
  good(!(conditions.review_days > conditions.retention_days), "AGR-50: reviewed after it is gone");
  good(!("copy_to" in conditions) || parties.includes(conditions.copy_to), "AGR-50: a copy to somebody who is no party");
  good(!("copy_exempt" in conditions) || "copy_to" in conditions, "AGR-50: copy_exempt without copy_to");
  if ("copy_exempt" in conditions) set(conditions.copy_exempt, 0, 64, among(codes.EXEMPT), "copy_exempt");
  good(!("transfer" in conditions) || among(codes.TRANSFER)(conditions.transfer), "AGR-10: transfer");
  good(!("second_approver" in conditions) || among(codes.CLASS)(conditions.second_approver), "AGR-10: second_approver");
  if ("readers" in conditions) readReaders(conditions.readers);
}

/** AGR-55. */
function readReaders(value) {
  const it = members(value, ["clearance?", "training?", "roles?"], "agreement_malformed", "AGR-55: readers");
  good(Object.keys(it).length > 0, "AGR-55: nobody is asked for anything");
  good(!("clearance" in it) || among(codes.CLASS)(it.clearance), "AGR-55: clearance");
  for (const name of ["training", "roles"]) if (name in it) set(it[name], 0, 64, (code) => isText(code, CODE), name);
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

/** AGR-22: its form. */
export function readNotice(payload) {
  const it = members(parseJson(payload, 4096), NOTICE, "notice_malformed", "AGR-22: a notice");
  const form = (condition) => check(condition, "notice_malformed", "AGR-22: a member of a notice");
  form(it.v === "ix/1" && it.typ === "notice" && among(["suspend", "resume", "leave"])(it.act) && isDigest(it.fed));
  form(isDigest(it.agr) && agency(it.by) && text(it.reason));
  return { ...it, given: parseTime(it.ts, "notice_malformed"), digest: digest(payload) };
}

/** The same, signed; whether it may be given is the book's to say. */
export function openNotice(value, directory, instant) {
  const statement = readStatement(value, 4096);
  const it = readNotice(statement.payload);
  check(it.fed === directory.fed, "federation_mismatch", "AGR-22: another federation");
  check(statement.pairs.length === 1, "notice_refused", "AGR-22: not exactly one pair");
  check(it.given <= instant + SKEW, "notice_refused", "AGR-24: from the future");
  directory.verify(statement.pairs[0], statement.encoded, "ix-ntc+jws", it.by, instant);
  return it;
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

  /**
   * AGR-30 to AGR-67. `asked`: from, to (ids), agr, the message's codes, exempt?, sources?; `recordOf(id)` at the
   * instant. Every permitted recipient comes with its obligations.
   */
  decide(asked, recordOf, now) {
    const to = asked.to.map((id) => ({ id, ...this.decideOne(asked, id, recordOf, now) }));
    const denied = codes.DENIALS.find((code) => to.some((one) => one.code === code));
    return { code: to.length === 0 ? "no_clause" : (denied ?? "permitted"), to, policy: this.policy(now) };
  }

  decideOne(asked, recipient, recordOf, now) {
    const misses = ({ agreement, clause }) => missed(clause, agreement, asked, recipient, recordOf, now);
    const fits = (rule) => misses(rule).length === 0;
    const both = (one) => one?.parties.includes(asked.from) && one.parties.includes(recipient);
    const terms = this.agreements.get(asked.agr);
    const allowed = (rules) => ({ code: "permitted", clauses: rules.map((one) => one.clause.id),
      obligations: obligations(rules, asked) });
    const always = FLOOR.filter(({ clause }) => clause.effect === "permit").filter(fits); // AGR-67
    if (both(terms) && always.length > 0) return allowed(always);
    const force = this.inForce(now).sort(byName);
    const rules = force.filter(both).flatMap(rulesOf);
    const reaching = force.filter((one) => !both(one) && one.parties.includes(asked.from)).flatMap(rulesOf)
      .filter(({ clause }) => clause.reach === "everyone");
    const forbids = [...rules, ...reaching, ...FLOOR].filter(({ clause }) => clause.effect === "forbid").filter(fits)
      .map((rule, i) => [rule, i]).sort(([a, i], [b, j]) => (a.agreement === b.agreement ? i - j : byName(a.agreement, b.agreement)))
      .map(([rule]) => rule);
    const caught = forbids.map(({ clause }) => clause.id);
    if (forbids.length > 0) return { code: "forbidden", clauses: caught, nearest: ownFirst(forbids, asked.agr) };
    const permits = rules.filter(({ clause }) => clause.effect === "permit");
    const denied = (code) => ({ code, clauses: [], nearest: nearest(permits, asked.agr, misses) });
    const state = this.state(asked.agr, now);
    if (state) return denied(state);
    if (!both(terms)) return denied("not_a_party");
    if (!underCeiling(asked.class, recordOf(recipient))) return denied("above_ceiling");
    const matching = permits.filter((one) => one.agreement.digest === asked.agr).filter(fits);
    if (matching.length === 0) return denied("no_clause");
    const against = (asked.sources ?? []).map((one) => judgeSource(one, asked, recipient, now)).filter(Boolean);
    const code = codes.DENIALS.find((one) => against.includes(one));
    return code ? { code, clauses: [], nearest: matching[0].clause.id } : allowed(matching);
  }
}

/** AGR-61, AGR-62: the code of what stands against telling a recipient what comes from a source. */
function judgeSource(source, asked, recipient, now) {
  if (!source.holder_had) return "source_unknown";
  if (source.originator === asked.from) return undefined;
  if (source.stopped) return "source_stopped";
  if (source.originator === recipient) return undefined;
  if (source.onward === "within_parties" && source.parties.includes(recipient)) return undefined;
  if (!["within_parties", "by_consent", "by_field"].includes(source.onward)) return "onward_forbidden";
  const covers = (one) => one.holder === asked.from && one.to?.includes(recipient) && one.purposes.includes(asked.purpose)
    && now < one.until && !one.withdrawn && one.fields.length > 0;
  return source.consents.some(covers) ? undefined : "consent_missing";
}

const rulesOf = (agreement) => agreement.clauses.map((clause) => ({ agreement, clause }));

/** AGR-64. */
const FLOOR_FILE = readFileSync(new URL("../../../spec/floor.json", import.meta.url));
check(digest(FLOOR_FILE) === "UbaNsQ7KP_XGgUeAj0T757CkHrEm0VlYC-kJrqBrR4U", "refused", "AGR-64: another floor");
const FLOOR = rulesOf({ ...JSON.parse(FLOOR_FILE), digest: digest(FLOOR_FILE), parties: [], territory: [], groups: new Map() });

function byName(a, b) {
  if (a.id !== b.id) return a.id < b.id ? -1 : 1;
  if (a.version !== b.version) return a.version - b.version;
  return a.digest < b.digest ? -1 : 1;
}

/** AGR-39. */
function underCeiling(level, record) {
  return codes.CLASS.includes(level) && codes.CLASS.indexOf(level) <= codes.CLASS.indexOf(record?.ceiling);
}

/** AGR-8, AGR-9, AGR-11: the names of the conditions that a clause misses. Who must be a party is one already. */
function missed(clause, agreement, asked, recipient, recordOf, now) {
  const names = (list, id) => {
    const record = recordOf(id);
    const group = (name) => {
      const it = agreement.groups.get(name.slice(6));
      return now < it.until && it.members.includes(id);
    };
    return list.some((one) => one === id || one === "party:any" || one === `territory:${record?.territory}`
      || (record?.roles ?? []).some((role) => one === `role:${role}`) || (one.startsWith("group:") && group(one)));
  };
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
    territory: forbids || "transfer" in conditions || agreement.territory.includes(recordOf(recipient)?.territory),
    copy: forbids || !("copy_to" in conditions) || [asked.from, ...asked.to].includes(conditions.copy_to)
      || (conditions.copy_exempt ?? []).includes(asked.exempt),
  };
  return Object.keys(held).filter((name) => !held[name]);
}

/** AGR-36, AGR-53 to AGR-56: what permitting rules tie to a message. */
function obligations(rules, { class: level, cats, handling }) {
  const each = rules.map(({ clause }) => clause.conditions);
  const least = (name) => each.map((one) => one[name]).filter((days) => days !== undefined).sort((a, b) => a - b)[0];
  const rank = (one) => codes.ONWARD.indexOf(one);
  const strictest = (a, b) => (rank(a) >= rank(b) ? a : b);
  const onward = each.map((one) => one.onward).reduce(strictest, handling.includes("H2") ? "by_consent" : "within_parties");
  const above = (one) => "second_approver" in one && codes.CLASS.indexOf(level) >= codes.CLASS.indexOf(one.second_approver);
  const second = each.some(above) || cats.includes("data_special_category");
  const days = { retention_days: least("retention_days"), review_days: least("review_days"),
    purge_days: rules[0].agreement.purge_days, readers: readersOf(each) };
  for (const name of Object.keys(days)) if (days[name] === undefined) delete days[name];
  return { onward, evidence: each.every((one) => one.evidence) && !handling.includes("H1"),
    human_release: second || each.some((one) => one.human_release), second_approver: second, ...days };
}

/** AGR-55, of several. */
function readersOf(each) {
  const all = each.map((one) => one.readers).filter((one) => one !== undefined);
  if (all.length === 0) return undefined;
  const clearances = all.map((one) => one.clearance).filter((one) => one !== undefined);
  const clearance = clearances.sort((a, b) => codes.CLASS.indexOf(b) - codes.CLASS.indexOf(a))[0];
  const roles = all.map((one) => one.roles).filter((one) => one !== undefined);
  const common = roles.length > 0 && roles[0].filter((role) => roles.every((some) => some.includes(role))).sort();
  const training = [...new Set(all.flatMap((one) => one.training ?? []))].sort();
  return { ...(clearance && { clearance }), training, ...(common && { roles: common }) };
}

/** AGR-59: what a recipient is bound to by an entry; nothing if it names a clause that the agreement has not. */
export function owed(entry, recipient, terms) {
  const ids = entry.to.find((one) => one.id === recipient)?.clauses ?? [];
  const rules = ids.map((id) => [...rulesOf(terms), ...FLOOR].find(({ clause }) => clause.id === id && clause.effect === "permit"));
  return rules.length > 0 && rules.every(Boolean) ? obligations(rules, entry) : undefined;
}

/** LOG-49: when it has to be gone, if ever; `kept` is when the last decision to keep it ends. */
export function dueAt(entry, recipient, terms, kept) {
  const it = owed(entry, recipient, terms);
  const ends = [];
  if (it?.retention_days !== undefined) ends.push(entry.at + it.retention_days * DAY);
  if (it?.purge_days !== undefined) ends.push(Math.max(terms.end, entry.at) + it.purge_days * DAY);
  if (it?.review_days !== undefined) ends.push(Math.max(entry.at + it.review_days * DAY, kept ?? 0));
  return ends.sort((a, b) => a - b)[0];
}

/** LOG-34: an entry names a clause of the agreement named, or none. */
const ownFirst = (rules, agr) => rules.find((one) => one.agreement.digest === agr)?.clause.id;

/** AGR-40, as far as an entry shows it. `permits` stand in the order of AGR-40 already. */
function nearest(permits, agr, misses) {
  const counted = permits.map((one) => ({ ...one, count: misses(one).length }));
  counted.sort((a, b) => a.count - b.count); // stable: equal ones keep their order
  return ownFirst(counted, agr);
}
