// The case message inside: spec/content.md.

import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import { check, dayExists, digest, isObject, parseJson, recoded, unb64u } from "./encoding.mjs";

const LIMIT = 131072;
const SCHEMA_FILE = new URL("../../../spec/schemas/case-message.json", import.meta.url);
export const SCHEMA = JSON.parse(readFileSync(SCHEMA_FILE, "utf8"));
const valid = new Ajv2020({ strict: false, validateFormats: false, unicodeRegExp: true }).compile(SCHEMA);

const rule = (condition, sentence) => check(condition, "content_malformed", sentence);

/** CNT-6: the block of each type. */
const BLOCKS = { info_request: "question", info_reply: "answer", info_partial: "answer", info_refusal: "refusal",
  clarification_request: "clarification", clarification: "clarification", spontaneous_info: "spontaneous",
  hit_report: "hit", victim_referral: "referral", safety_notice: "notice", evidence_transfer: "transfer",
  exculpatory_notice: "exculpatory", exercise_inject: "inject" };
const ANSWERS = ["info_reply", "info_partial", "info_refusal", "clarification_request", "clarification",
  "exculpatory_notice"];

/** CNT-31. */
const THINGS = ["transport", "document", "communication", "account", "location"];
const ACTORS = ["person", "organisation"];
const RELATIONS = {
  associate_of: [ACTORS, ACTORS],
  family_of: [["person"], ["person"]],
  member_of: [ACTORS, ["organisation"]],
  leads: [["person"], ["organisation"]],
  recruits: [ACTORS, ["person"]],
  exploits: [ACTORS, ["person"]],
  facilitates: [ACTORS, [...ACTORS, "event"]],
  owns: [ACTORS, THINGS],
  uses: [[...ACTORS, "event"], THINGS],
  issued_to: [["document", "account", "communication"], ACTORS],
  pays: [[...ACTORS, "account"], [...ACTORS, "account"]],
  contacts: [[...ACTORS, "communication"], [...ACTORS, "communication"]],
  located_at: [[...ACTORS, "transport", "document", "communication", "account", "event"], ["location"]],
  participates_in: [[...ACTORS, "transport"], ["event"]],
  route_to: [["location"], ["location"]],
  departs_from: [[...ACTORS, "transport"], ["location"]],
  arrives_at: [[...ACTORS, "transport"], ["location"]],
  carried_by: [["person"], ["transport"]],
  occurred_at: [["event"], ["location"]],
};

/** CNT-10 to CNT-13, by `medium`. */
const HOST = "[0-9a-z-]+(\\.[0-9a-z-]+)*\\.(example|sim)";
export const MEDIA = {
  phone: /^\+999[0-9]{4,11}$/,
  email: new RegExp(`^[0-9A-Za-z._-]{1,64}@${HOST}$`),
  handle: /^sim_[0-9A-Za-z_.-]{1,59}$/,
  device: /^SIM-[0-9A-Z][0-9A-Z-]{0,31}$/,
  ip: /^((192\.0\.2|198\.51\.100|203\.0\.113)\.(0|[1-9][0-9]{0,2})|2001:db8:[0-9a-f:]{1,32})$/,
  url: new RegExp(`^https?://${HOST}(/[0-9A-Za-z._~/-]*)?$`),
};
const DAYS = ["as_of", "on", "until", "since", "issued", "expires", "seized_on", "birth"];

/** MSG-30: bytes to a case message, or `content_malformed`. */
export function parseContent(bytes) {
  const it = recoded("content_malformed", () => parseJson(bytes, LIMIT));
  rule(valid(it), `CNT-5: ${valid.errors?.[0]?.instancePath} ${valid.errors?.[0]?.keyword}`);
  plainStrings(it);
  entities(it);
  block(it);
  attachments(it);
  safeguards(it);
  sources(it);
  marks(it);
  return it;
}

// --- strings ---------------------------------------------------------------------------------------------------------

const OPAQUE = { attachments: ["data", "sha256"], photo: ["data", "sha256"], sources: ["msg"],
  sealed_parts: ["kid", "wrap", "body", "commit"] };

/** Every string that CNT-10 to CNT-17 look at, with where it stands. */
export function* strings(value, path) {
  if (typeof value === "string") yield [path, value];
  else if (Array.isArray(value)) for (const [i, item] of value.entries()) yield* strings(item, `${path}.${i}`);
  else if (isObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      if (!(OPAQUE[path.split(".")[1]] ?? []).includes(name)) yield* strings(member, `${path}.${name}`);
    }
  }
}

/** CNT-16: where each script's ten digits begin. */
const ZEROS = `0030 0660 06F0 07C0 0966 09E6 0A66 0AE6 0B66 0BE6 0C66 0CE6 0D66 0DE6 0E50 0ED0 0F20 1040 1090 17E0 1810 1946
  19D0 1A80 1A90 1B50 1BB0 1C40 1C50 A620 A8D0 A900 A9D0 A9F0 AA50 ABF0 FF10 104A0 10D30 10D40 11066 110F0 11136 111D0 112F0
  11450 114D0 11650 116C0 116D0 116DA 11730 118E0 11950 11BF0 11C50 11D50 11DA0 11DE0 11F50 16130 16A60 16AC0 16B50 16D70
  1CCF0 1D7CE 1D7D8 1D7E2 1D7EC 1D7F6 1E140 1E2F0 1E4F0 1E5F1 1E950 1FBF0`.split(/\s+/).map((code) => parseInt(code, 16));
const D = `[${ZEROS.map((zero) => `${String.fromCodePoint(zero)}-${String.fromCodePoint(zero + 9)}`).join("")}]`;
const PHONE = new RegExp(`\\+${D}([ .()/-]{0,2}${D}){6,}`, "u");
const NINE = new RegExp(`${D}{9}`, "u");

/** CNT-15, CNT-16, and the days of CNT-5. */
export function plainStrings(it) {
  for (const [path, text] of strings(it, "")) plain(path, text);
}

function plain(path, text) {
  const name = path.split(".").at(-1);
  rule(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(text), `CNT-15: ${path}`);
  if (DAYS.includes(name)) rule(dayExists(...text.split("-").map(Number)), `CNT-5: ${path}`);
  const left = text.replace(/SIM-[0-9A-Z-]+|\+999[0-9]{4,11}/g, " ");
  rule(!PHONE.test(left), `CNT-16.1: ${path}`);
  rule(!NINE.test(left), `CNT-16.2: ${path}`);
  rule(!left.includes("<<"), `CNT-16.3: ${path}`);
  for (const match of left.matchAll(/(?<=[^\t\n @])@([0-9A-Za-z.-]*)/gu)) rule(invented(match[1]), `CNT-16.4: ${path}`);
  for (const match of left.matchAll(/:\/\/([0-9A-Za-z.-]*)/gu)) rule(invented(match[1]), `CNT-16.5: ${path}`);
}

const invented = (run) => /\.(example|sim)$/i.test(run.replace(/[.-]+$/, ""));

// --- entities --------------------------------------------------------------------------------------------------------

const yearOf = (it) => Number(it.as_of.slice(0, 4));
const persons = (it) => (it.entities ?? []).filter((one) => one.kind === "person");

function entities(it) {
  const all = it.entities ?? [];
  const kinds = new Map(all.map((one) => [one.id, one.kind]));
  rule(kinds.size === all.length, "CNT-30: an id twice");
  for (const one of all) {
    if (one.kind === "communication") rule(MEDIA[one.medium].test(one.value), "CNT-10 to CNT-13: value");
    if (one.kind === "person") person(it, one);
  }
  for (const { from, to, relation } of it.relationships ?? []) {
    const [left, right] = RELATIONS[relation];
    rule(from !== to && kinds.has(from) && kinds.has(to), "CNT-31: not two entities of the content");
    rule(left.includes(kinds.get(from)) && right.includes(kinds.get(to)), `CNT-31: ${relation} of other kinds`);
  }
  const about = (it.narrative ?? []).flatMap((passage) => passage.about ?? []);
  const never = about.includes("smug_e_legislative") || about.includes("smug_f_technical");
  rule(!never || persons(it).length === 0, "CNT-25: persons beside what is never about persons");
}

/** CNT-26. */
export function nameOf(name) {
  rule("family" in name || "given" in name, "CNT-26: a name of nothing");
}

function person(it, one) {
  const promised = (one.protection ?? []).some((flag) => ["anonymity_guaranteed", "new_identity"].includes(flag));
  const names = one.names ?? [];
  rule(names.length === 0 || !(promised || one.category === "informant"), "CNT-22: names of somebody promised none");
  if ("protection_claim" in one) {
    const { against = [], country } = one.protection_claim;
    rule(new Set(against).size === against.length && !against.includes(country), "CNT-24: against");
    rule(against.length > 0 || "nationality" in one, "CNT-24: a claim against nobody");
  }
  names.forEach(nameOf);
  if (!("birth_year" in one)) return;
  const age = yearOf(it) - one.birth_year;
  rule(age >= 0, "CNT-23: born after the day of the content");
  if ("minor" in one) rule(one.minor ? age <= 18 : age >= 18, "CNT-23: minor and birth_year");
}

// --- safeguards ------------------------------------------------------------------------------------------------------

const neverNamed = (one) => one.category === "informant" ||
  (one.protection ?? []).some((flag) => ["anonymity_guaranteed", "new_identity"].includes(flag));

const isMinor = (it, one) => ("minor" in one ? one.minor : "birth_year" in one && yearOf(it) - one.birth_year <= 18);

/** CNT-27. */
const isProtected = (it, one) => one.category === "victim" || neverNamed(one) || isMinor(it, one) ||
  (one.category === "witness" && (one.protection ?? []).length > 0);

/** CNT-22, CNT-27 to CNT-29, CNT-71. */
function safeguards(it) {
  const byId = new Map((it.entities ?? []).map((one) => [one.id, one]));
  const parts = it.sealed_parts ?? [];
  for (const part of parts) {
    const subject = byId.get(part.subject);
    rule(subject?.kind === "person" && !neverNamed(subject), "CNT-22: a sealed part of nobody, or of one never named");
    rule(new Set(part.keys.map((key) => key.id)).size === part.keys.length, "CNT-71: two keys of one agency");
  }
  for (const name of ["subject", "id"]) {
    rule(new Set(parts.map((part) => part[name])).size === parts.length, `CNT-71: two parts with one ${name}`);
  }
  const hidden = new Set(persons(it).filter((one) => isProtected(it, one)).map((one) => one.id));
  if (hidden.size === 0) return;
  for (const id of hidden) {
    const one = byId.get(id);
    rule((one.names ?? []).length === 0 && !("birth_year" in one), "CNT-27: a protected person's identity");
  }
  for (const { from, to, relation } of it.relationships ?? []) {
    if (hidden.has(from) === hidden.has(to)) continue;
    rule(!leadsTo(byId.get(hidden.has(from) ? to : from), relation), "CNT-28: what leads to a protected person");
  }
  rule(!("title" in it.case), "CNT-29: a title");
  const plainName = /^file-[0-9]{1,2}(\.[a-z]{2,6})?$/;
  rule((it.attachments ?? []).every((one) => plainName.test(one.name)), "CNT-29: a file name");
}

function leadsTo(one, relation) {
  const tied = ["owns", "uses", "issued_to"].includes(relation);
  if (one.kind === "person") return relation === "family_of" && (one.names ?? []).length > 0;
  if (one.kind === "communication") return tied;
  if (one.kind === "document") return tied && "number" in one;
  if (one.kind === "account") return tied && "identifier" in one;
  return one.kind === "location" && ["address", "safe_house"].includes(one.place) && ("name" in one || "locality" in one);
}

/** CNT-50. */
function sources(it) {
  const named = (it.sources ?? []).map((one) => one.msg);
  rule(named.every((msg, i) => i === 0 || named[i - 1] < msg), "CNT-50: sources out of order");
}

/** CNT-51 and CNT-52, the strictest first. */
const MARKS = {
  red: [["H1", "H2"], ["H0"]], amber_strict: [["H2"], ["H0"]], amber: [[], []], green: [[], ["H2"]],
  clear: [[], ["H1", "H2", "H3"]],
};

function marks(it) {
  const order = Object.keys(MARKS);
  for (const [path, text] of strings(it, "")) {
    for (const match of text.matchAll(/TLP[ :]{1,2}(RED|AMBER[+ ]STRICT|AMBER|GREEN|CLEAR|WHITE)/gi)) {
      const mark = match[1].toLowerCase().replace(/[+ ]/, "_").replace("white", "clear");
      rule("tlp" in it && order.indexOf(it.tlp) <= order.indexOf(mark), `CNT-52: ${path}`);
    }
  }
}

// --- blocks ----------------------------------------------------------------------------------------------------------

function block(it) {
  const names = [...new Set(Object.values(BLOCKS))].filter((name) => name in it);
  rule(names.length === 1 && names[0] === BLOCKS[it.type], "CNT-6: not exactly the block of the type");
  if ("answer" in it) rule("outstanding" in it.answer === (it.type === "info_partial"), "CNT-6: outstanding");
  if ("refusal" in it || "exculpatory" in it) {
    const bare = ["narrative", "entities", "relationships", "attachments", "sealed_parts", "sources"];
    rule(bare.every((name) => (it[name] ?? []).length === 0), "CNT-6: a refusal or bare notice that tells something");
  }
  if ("refusal" in it) {
    rule(it.refusal.ground !== "cannot_respond" || !("text" in it.refusal), "CNT-6: the neutral ground explained");
  }
  if ("hit" in it) {
    const place = (it.entities ?? []).find((one) => one.id === it.hit.place);
    rule(place?.kind === "location", "CNT-6: the hit's place is no location");
  }
  if ("referral" in it) rule(persons(it).some((one) => one.category === "victim"), "CNT-6: no victim");
  if ("transfer" in it) rule((it.attachments ?? []).length > 0, "CNT-6: no attachment");
  if ("question" in it) question(it);
}

function question(it) {
  const { urgency, links = [] } = it.question;
  const urgent = urgency.code !== "normal";
  rule("reason" in urgency === urgent && "text" in urgency === urgent, "CNT-40: reason and text of an urgency");
  const named = links.map((link) => link.entity).sort();
  const all = persons(it).map((one) => one.id).sort();
  rule(named.join(" ") === all.join(" "), "CNT-41: not every person linked exactly once");
}

function attachments(it) {
  const all = it.attachments ?? [];
  rule(new Set(all.map((one) => one.name)).size === all.length, "CNT-43: two of one name");
  all.forEach(attachment);
}

export function attachment(one) {
  const bytes = unb64u(one.data, "content_malformed");
  rule(bytes.length <= 65536 && digest(bytes) === one.sha256, "CNT-43: size or digest of an attachment");
}

// --- what it carries -------------------------------------------------------------------------------------------------

/** CNT-60. */
export function categories(it) {
  const found = new Set((it.narrative ?? []).flatMap((passage) => passage.about ?? []));
  const when = (condition, category) => condition && found.add(category);
  for (const { relation } of it.relationships ?? []) {
    when(["route_to", "departs_from", "arrives_at", "carried_by"].includes(relation), "smug_a_routes");
    when(["recruits", "exploits"].includes(relation), "traf_c_methods");
  }
  for (const one of it.entities ?? []) {
    when(one.organisation === "criminal_group", "smug_b_groups");
    when(one.kind === "transport" && "concealment" in one, "smug_d_concealment");
    when(one.kind === "transport", "data_transport");
    when(one.kind === "document", "data_identification");
    when(one.kind === "document" && !["unknown", "genuine"].includes(one.condition ?? "unknown"), "smug_c_documents");
    when(one.kind === "communication", "data_communications");
    when(one.kind === "account" || (one.kind === "event" && "amount" in one), "data_financial");
    when(one.event === "offence", "data_criminal_conduct");
    if (one.kind !== "person") continue;
    found.add(`person_${one.category}`);
    const young = "birth_year" in one && yearOf(it) - one.birth_year <= 18;
    when("minor" in one ? one.minor : young, "data_minor");
    when((one.conduct ?? []).length > 0, "data_criminal_conduct");
    when("crossing_status" in one, "traf_a_status");
    when("special" in one, "data_special_category");
    when("protection_claim" in one, "data_protection_claim");
    when("victimisation" in one, "data_victimisation");
  }
  when((it.attachments ?? []).length > 0, "data_attachment");
  when((it.sealed_parts ?? []).length > 0, "data_sealed_identity");
  return [...found].sort();
}

/** The handling codes that a content itself asks for: CNT-51, CNT-61.3. */
export function handlingOf(content) {
  const codes = [...(MARKS[content.tlp]?.[0] ?? []), ...("handling_text" in content ? ["H3"] : [])];
  return codes.length > 0 ? codes : ["H0"];
}

/** CNT-61. */
export function checkDeclared(manifest, content) {
  const declared = (condition, sentence) => check(condition, "misdeclared", `CNT-61: ${sentence}`);
  declared(manifest.type === content.type, "type");
  if ("question" in content) {
    const { purpose, crime, urgency } = content.question;
    declared(manifest.purpose === purpose && manifest.crime === crime, "purpose or crime");
    declared(manifest.urgency === urgency.code, "urgency");
  } else declared(manifest.urgency === "none", "urgency");
  declared(manifest.handling.includes("H3") === "handling_text" in content, "H3 and handling_text");
  declared(manifest.cats.join() === categories(content).join(), "categories");
  declared(!ANSWERS.includes(content.type) || "re" in manifest, "an answer without re");
  declared((manifest.src ?? []).join() === (content.sources ?? []).map((one) => one.msg).join(), "src");
  const [wanted, never] = MARKS[content.tlp] ?? [[], []];
  const handling = manifest.handling;
  declared(wanted.every((code) => handling.includes(code)) && !never.some((code) => handling.includes(code)), "tlp");
  const known = [manifest.from, ...manifest.to.map((one) => one.id)];
  const sealedFor = (content.sealed_parts ?? []).flatMap((part) => part.keys.map((key) => key.id));
  declared(sealedFor.every((id) => known.includes(id)), "sealed for somebody else");
}

