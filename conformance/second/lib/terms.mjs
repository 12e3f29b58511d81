// Agreements and notices, their form and their signatures: spec/agreements.md, AGR-1 to AGR-16, AGR-22, AGR-50 to AGR-58.

import { AGENCY, check, digest, isCount, isList, isText, members, parseJson, parseTime } from "./encoding.mjs";
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
