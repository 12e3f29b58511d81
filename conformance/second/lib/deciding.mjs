// How a decision is made and explained, and what it ties a recipient to: spec/agreements.md, AGR-8 to AGR-11, AGR-30 to
// AGR-67.
//
// A *rule* is a clause together with the agreement that it stands in; the floor counts as an agreement without parties.

import { readFileSync } from "node:fs";
import { check, digest } from "./encoding.mjs";
import * as codes from "./vocabulary.mjs";

const DAY = 86400000;
const SHOWN = { clauses: 8, near: 2, sources: 8 };

const rulesOf = (agreement) => agreement.clauses.map((clause) => ({ agreement, clause }));
const permits = ({ clause }) => clause.effect === "permit";
const forbids = ({ clause }) => clause.effect === "forbid";

/** AGR-64. */
const FLOOR_FILE = readFileSync(new URL("../../../spec/floor.json", import.meta.url));
check(digest(FLOOR_FILE) === "UbaNsQ7KP_XGgUeAj0T757CkHrEm0VlYC-kJrqBrR4U", "refused", "AGR-64: another floor");
const floor = { ...JSON.parse(FLOOR_FILE), digest: digest(FLOOR_FILE), parties: [], territory: [], groups: new Map() };
const FLOOR = rulesOf(floor);

/** The order of agreements in an explanation: AGR-40, AGR-42. */
function byName(a, b) {
  if (a.id !== b.id) return a.id < b.id ? -1 : 1;
  if (a.version !== b.version) return a.version - b.version;
  return a.digest < b.digest ? -1 : 1;
}

/**
 * AGR-30 to AGR-67: code, policy, and for each recipient its code, the clauses that made it, its obligations if it is
 * permitted, and the nearest clauses if it is not. `asked`: from, to (ids), agr, the message's codes, exempt?, sources?;
 * `recordOf(id)` is an agency's newest record at the instant.
 */
export function decide(book, asked, recordOf, now) {
  const force = book.inForce(now).sort(byName);
  const to = asked.to.map((id) => ({ id, nearest: [], ...decideOne({ book, force, asked, recipient: id, recordOf, now }) }));
  const denied = codes.DENIALS.find((code) => to.some((one) => one.code === code));
  return { code: to.length === 0 ? "no_clause" : (denied ?? "permitted"), to, policy: book.policy(now) };
}

/** AGR-33, for one recipient. */
function decideOne(it) {
  const { book, force, asked, recipient, recordOf, now } = it;
  const both = (agreement) => agreement?.parties.includes(asked.from) && agreement.parties.includes(recipient);
  const named = book.agreements.get(asked.agr);
  const rules = force.filter(both).flatMap(rulesOf);

  const always = FLOOR.filter((rule) => permits(rule) && fits(rule, it)); // AGR-67
  if (both(named) && always.length > 0) return permitted(always, asked);

  const reaching = force.filter((one) => !both(one) && one.parties.includes(asked.from)).flatMap(rulesOf)
    .filter(({ clause }) => clause.reach === "everyone");
  const against = [...rules, ...reaching, ...FLOOR].filter((rule) => forbids(rule) && catches(rule, it));
  against.sort((a, b) => (a.agreement === b.agreement ? 0 : byName(a.agreement, b.agreement))); // stable within one
  if (against.length > 0) {
    const caught = ({ cats }) => (cats.includes("any") ? [] : asked.cats.filter((cat) => cats.includes(cat)));
    const nearest = against.map((rule) => ({ ...rule, caught: caught(rule.clause) }));
    return { code: "forbidden", clauses: against.map(({ clause }) => clause.id), nearest };
  }

  const weighed = rules.filter(permits).map((rule) => ({ ...rule, missed: missed(rule, it) }));
  const denied = (code) => ({ code, clauses: [], nearest: nearestOf(weighed, asked.agr) });
  const state = book.state(asked.agr, now);
  if (state) return denied(state);
  if (!both(named)) return denied("not_a_party");
  if (!underCeiling(asked.class, recordOf(recipient))) return denied("above_ceiling");
  const matching = weighed.filter((one) => one.agreement.digest === asked.agr && one.missed.length === 0);
  if (matching.length === 0) return denied("no_clause");

  const judged = (asked.sources ?? []).map((source) => ({ source, code: judgeSource(source, it) }));
  const bad = codes.DENIALS.flatMap((code) => judged.filter((one) => one.code === code)); // the order of AGR-63
  if (bad.length === 0) return permitted(matching, asked);
  const sources = bad.slice(0, SHOWN.sources).map(({ source, code }) => (
    { member: "source", have: source.msg, ...(code === "consent_missing" && { want: source.originator }) }));
  const nearest = matching.slice(0, SHOWN.near).map((rule) => ({ ...rule, missed: sources }));
  return { code: bad[0].code, clauses: [], nearest };
}

const permitted = (rules, asked) => (
  { code: "permitted", clauses: rules.map(({ clause }) => clause.id), obligations: obligations(rules, asked) });

// --- whether a clause matches ----------------------------------------------------------------------------------------

/** VOC-3. A classification that the vocabulary does not have is above every other, and everything is above it. */
const upTo = (level, highest) => codes.CLASS.includes(level) && codes.CLASS.indexOf(level) <= codes.CLASS.indexOf(highest);

/** AGR-39. */
const underCeiling = (level, record) => upTo(level, record?.ceiling);

/** AGR-11, AGR-51. Whoever must be a party is one already. */
function names(list, id, { agreement }, { recordOf, now }) {
  const record = recordOf(id);
  const lives = (name) => {
    const group = agreement.groups.get(name.slice("group:".length));
    return now < group.until && group.members.includes(id);
  };
  return list.some((one) => one === id || one === "party:any" || one === `territory:${record?.territory}`
    || record?.roles.some((role) => one === `role:${role}`) || (one.startsWith("group:") && lives(one)));
}

/** AGR-8 and AGR-41: the conditions that a permit misses, with what the message has and what the clause lists. */
function missed(rule, it) {
  const { agreement, clause } = rule;
  const { asked, recipient, recordOf } = it;
  const { conditions } = clause;
  const record = recordOf(recipient);
  const unlisted = asked.cats.filter((cat) => !clause.cats.includes(cat));
  const unset = conditions.handling_required.filter((code) => !asked.handling.includes(code));
  const told = [asked.from, ...asked.to];
  const below = upTo(asked.class, clause.class_max);
  const here = "transfer" in conditions || agreement.territory.includes(record?.territory);
  const copied = !("copy_to" in conditions) || told.includes(conditions.copy_to)
    || conditions.copy_exempt?.includes(asked.exempt);
  return [
    ["from", names(clause.from, asked.from, rule, it), asked.from, clause.from],
    ["to", names(clause.to, recipient, rule, it), recipient, clause.to],
    ["type", clause.types.includes(asked.type), asked.type, clause.types],
    ["purpose", clause.purposes.includes(asked.purpose), asked.purpose, clause.purposes],
    ["crime", clause.crimes.includes(asked.crime), asked.crime, clause.crimes],
    ["urgency", conditions.urgency.includes(asked.urgency), asked.urgency, conditions.urgency],
    ["class", below, asked.class, clause.class_max],
    ["ceiling", underCeiling(asked.class, record), asked.class, record?.ceiling],
    ["cats", unlisted.length === 0, unlisted, clause.cats],
    ["handling", unset.length === 0, asked.handling, unset],
    ["territory", here, record?.territory, agreement.territory],
    ["copy", copied, told, conditions.copy_to],
  ].filter(([, holds]) => !holds).map(([member, , have, want]) => ({ member, have, want }));
}

const fits = (rule, it) => missed(rule, it).length === 0;

/** AGR-9. */
function catches(rule, it) {
  const { clause } = rule;
  const { asked, recipient } = it;
  const lists = (list, code) => list.includes("any") || list.includes(code);
  return names(clause.from, asked.from, rule, it) && names(clause.to, recipient, rule, it)
    && lists(clause.types, asked.type) && lists(clause.purposes, asked.purpose) && lists(clause.crimes, asked.crime)
    && (clause.cats.includes("any") || asked.cats.some((cat) => clause.cats.includes(cat)));
}

/** AGR-61, AGR-62: the code of what stands against telling a recipient what comes from a source. */
function judgeSource(source, { asked, recipient, now }) {
  if (!source.holder_had) return "source_unknown";
  if (source.originator === asked.from) return undefined;
  if (source.stopped) return "source_stopped";
  if (source.originator === recipient) return undefined;
  if (source.onward === "within_parties" && source.parties.includes(recipient)) return undefined;
  if (!["within_parties", "by_consent", "by_field"].includes(source.onward)) return "onward_forbidden";
  const covers = (one) => one.holder === asked.from && one.to?.includes(recipient) && one.purposes.includes(asked.purpose)
    && now < one.until && !one.withdrawn && one.fields.length > 0
    && !(source.onward === "by_field" && one.fields.includes(""));
  return source.consents.some(covers) ? undefined : "consent_missing";
}

// --- explaining ------------------------------------------------------------------------------------------------------

/** AGR-40. The rules come in the order that equal ones go by, and sorting is stable. */
function nearestOf(weighed, agr) {
  const sorted = [...weighed].sort((a, b) => a.missed.length - b.missed.length);
  const own = sorted.filter((one) => one.agreement.digest === agr).slice(0, SHOWN.near);
  const others = sorted.filter((one) => one.agreement.digest !== agr).slice(0, SHOWN.near);
  return [...others.filter((one) => own.length === 0 || one.missed.length < own[0].missed.length), ...own];
}

/** LOG-34: an entry names a clause of the agreement named, or none. */
export const loggedNearest = ({ nearest }, agr) => nearest.find((one) => one.agreement.digest === agr)?.clause.id;

/** AGR-44: what is shown of all that, to each denied recipient. */
export function explanation({ to }) {
  const denied = to.filter((one) => one.code !== "permitted");
  const share = Math.max(1, Math.floor(SHOWN.clauses / denied.length));
  let left = SHOWN.clauses;
  return denied.map(({ id, code, nearest }) => {
    const shown = nearest.slice(0, Math.min(share, left));
    left -= shown.length;
    const more = nearest.length - shown.length;
    return { id, code, nearest: shown.map(inWords), ...(more > 0 && { more }) };
  });
}

/** AGR-41, AGR-42: a clause by its agreement, with a sentence for each condition missed. */
function inWords({ agreement, clause, missed: misses, caught }) {
  const { id, version, digest: name } = agreement;
  const head = { agreement: { id, version, digest: name }, clause: clause.id, title: clause.title };
  if (caught) return { ...head, caught };
  return { ...head, ...(misses.length === 0 && { sentence: `would permit it: name the agreement ${name}` }),
    missed: misses.map((one) => ({ ...one, sentence: sentence(one) })) };
}

const SENTENCES = {
  cats: ({ have }) => `leave out ${have}, which the clause does not list`,
  handling: ({ want }) => `set ${want}`,
  ceiling: ({ have, want }) => `it is ${have}, and its recipient may receive up to ${want}`,
  territory: ({ have, want }) => `its recipient is in ${have}, and the agreement reaches ${want.join() || "nowhere"}`,
  copy: ({ want }) => `add ${want} to those who are told`,
  source: ({ have, want }) => (want ? `ask ${want} to consent for ${have}` : `leave out what comes from ${have}`),
};
const sentence = (one) => (SENTENCES[one.member]?.(one) ?? `${one.member} is ${one.have}, and the clause has ${one.want}`);

// --- obligations -----------------------------------------------------------------------------------------------------

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
  const rules = ids.map((id) => [...rulesOf(terms), ...FLOOR].find((rule) => rule.clause.id === id && permits(rule)));
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
