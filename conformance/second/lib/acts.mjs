// Acts, who may give them, and what binds a message that comes from others: spec/acts.md.

import { ascending, check, isList, isText, members, parseJson, parseTime, AGENCY } from "./encoding.mjs";
import { SKEW } from "./directory.mjs";
import { isDigest, readStatement } from "./signing.mjs";
import { owed } from "./deciding.mjs";
import * as codes from "./vocabulary.mjs";

const HEAD = ["v", "typ", "act", "fed", "by", "ts", "msg"];
const WISH = ["want", "to?", "purposes", "fields", "until"];
const KINDS = {
  ask: WISH, consent: ["re?", "holder", ...WISH], decline: ["re", "ground"], withdraw: ["re"], acknowledge: [],
  restrict: ["ground"], recall: ["ground"], rectify: ["ground", "by_msg"], answer: ["re", "outcome", "ground?"],
  keep: ["ground", "until"], erased: ["cause"],
};
const GROUNDS = { decline: codes.REFUSAL, restrict: codes.AFTER, recall: codes.AFTER, rectify: codes.AFTER,
  answer: codes.RETAIN, keep: codes.RETAIN };
const POINTER = { test: (text) => text.length <= 120 && /^(\/([a-z][a-z0-9_]{0,31}|0|[1-9][0-9]{0,3})){0,8}$/.test(text) };
const form = (condition, sentence) => check(condition, "act_malformed", `ACT-2: ${sentence}`);
const oneOf = (list) => (value) => typeof value === "string" && list.includes(value);
const list = (value, good) => isList(value, 1, 20) && value.every(good) && ascending(value);
const time = (value) => (typeof value === "string" && value.length === 24 ? parseTime(value, "act_malformed") : form(false, "a time"));

const FORMS = {
  re: isDigest, by_msg: isDigest, holder: (value) => isText(value, AGENCY),
  want: oneOf(["onward", "purpose", "evidence"]),
  to: (value) => list(value, (one) => isText(one, AGENCY)),
  purposes: (value) => list(value, oneOf(codes.PURPOSE)),
  fields: (value) => list(value, (one) => isText(one, POINTER)),
  outcome: oneOf(["erased", "restricted", "rectified", "retained"]),
  cause: oneOf(["retention", "purge", "review", "recall"]),
};

/** ACT-2, ACT-3. */
export function readAct(payload) {
  const value = parseJson(payload, 4096);
  form(typeof value?.act === "string" && Object.hasOwn(KINDS, value.act), "no act there is");
  const it = members(value, [...HEAD, ...KINDS[value.act]], "act_malformed", "ACT-2: an act");
  form(it.v === "ix/1" && it.typ === "act" && isDigest(it.fed) && isDigest(it.msg) && isText(it.by, AGENCY), "its head");
  for (const [name, good] of Object.entries(FORMS)) form(!(name in it) || good(it[name]), name);
  form(!("ground" in it) || oneOf(GROUNDS[it.act])(it.ground), "ground");
  const given = time(it.ts);
  if ("until" in it) form(time(it.until) > given, "until is not later than ts");
  if ("want" in it) form("to" in it === (it.want === "onward"), "to stands with onward");
  if (it.act === "answer") form("ground" in it === (it.outcome === "retained"), "ground stands with retained");
  form(it.by_msg !== it.msg, "corrected by itself");
  return { ...it, given, ends: "until" in it ? parseTime(it.until) : undefined };
}

/** ACT-1, ACT-4, ACT-5. */
export function openAct(value, directory, instant) {
  const statement = readStatement(value);
  const it = readAct(statement.payload);
  check(it.fed === directory.fed, "federation_mismatch", "ACT-4: another federation");
  check(statement.pairs.length === 1, "act_refused", "ACT-4: not exactly one pair");
  check(it.given <= instant + SKEW, "act_refused", "ACT-4: from the future");
  check(it.act !== "consent" || it.ends > instant, "act_refused", "ACT-4: a consent that has ended");
  directory.verify(statement.pairs[0], statement.encoded, "ix-act+jws", it.by, instant);
  return { ...it, digest: statement.digest, logged: instant };
}

const ORIGINATORS = ["consent", "decline", "withdraw", "restrict", "rectify", "recall"];
const RECIPIENTS = ["acknowledge", "keep", "erased"];
const AFTER = ["restrict", "rectify", "recall"];
const MOST = 256;

/** The tree of onward disclosures, and the acts about it, as the entries go by. */
export class Lineage {
  constructor() {
    this.passed = new Map(); // message -> { index, entry, terms }
    this.acts = []; // in the order of the log, with their index
    this.followed = []; // restrictions, rectifications and recalls, with holders and answers
  }

  disclose(index, entry, terms) {
    if (!this.passed.has(entry.msg)) this.passed.set(entry.msg, { index, entry, terms });
  }

  about(msg, ...kinds) {
    return this.acts.filter((one) => one.msg === msg && kinds.includes(one.act));
  }

  find(digest) {
    return this.acts.find((one) => one.digest === digest);
  }

  /** ACT-7: each holder, with the message through which it holds; the message itself for its recipients. */
  holders(msg) {
    const root = this.passed.get(msg);
    const found = new Map();
    if (!root) return found;
    const below = new Set([msg]);
    for (const { entry } of this.passed.values()) { // a source is logged before what comes from it
      if (entry.src?.some((name) => below.has(name))) below.add(entry.msg);
      if (below.has(entry.msg)) for (const { id } of entry.to) if (!found.has(id)) found.set(id, entry.msg);
    }
    found.delete(root.entry.from);
    return found;
  }

  /** A message and everything it comes from. */
  ancestors(msg) {
    const found = new Set([msg]);
    for (const name of found) for (const one of this.passed.get(name)?.entry.src ?? []) found.add(one);
    return found;
  }

  /** ACT-6 to ACT-9. */
  may(it) {
    const theirs = (condition) => check(condition, "act_not_theirs", `ACT-8: ${it.act} by ${it.by}`);
    const room = (condition, sentence) => check(condition, "act_refused", `ACT-9: ${sentence}`);
    const message = this.passed.get(it.msg);
    const holders = this.holders(it.msg);
    const originator = message?.entry.from === it.by;
    theirs(message && (originator || holders.has(it.by)));
    const { entry } = message;
    if (ORIGINATORS.includes(it.act)) theirs(originator);
    else if (RECIPIENTS.includes(it.act)) theirs(entry.to.some((one) => one.id === it.by));
    else theirs(!originator);
    const before = this.find(it.re);
    const same = before?.msg === it.msg;
    const answered = this.acts.some((one) => ["consent", "decline", "withdraw"].includes(one.act) && one.re === it.re);
    if (it.act === "acknowledge") room(entry.handling.includes("H3"), "no handling text");
    if (it.act === "consent") room(holders.has(it.holder), "for nobody who holds it");
    if (it.act === "decline" || (it.act === "consent" && "re" in it)) {
      room(same && before.act === "ask" && !answered, "nobody asked, or it was answered");
      room(it.act === "decline" || (before.want === it.want && before.by === it.holder), "another thing was asked");
    }
    if (it.act === "withdraw") room(same && before.act === "consent" && !answered, "no consent to withdraw");
    if (it.act === "restrict" || it.act === "recall") {
      room(this.about(it.msg, it.act).length === 0 && entry.type !== "exculpatory_notice", "stands already, or never may");
    }
    if (it.act === "rectify") {
      const by = this.passed.get(it.by_msg);
      room(by?.entry.from === it.by && !this.ancestors(it.by_msg).has(it.msg), "no message that could correct it");
    }
    if (it.act === "answer") {
      room(same && AFTER.includes(before.act), "nothing to answer");
      room(it.outcome !== "rectified" || before.act === "rectify", "no answer to that");
      const last = this.followed.find((one) => one.act.digest === it.re).answers.get(it.by);
      room(it.outcome === "erased" || last?.outcome !== "erased", "has nothing left");
    }
    if (it.act === "keep") room(!this.erased(it.by, it.msg), "said that it was erased");
  }

  enter(index, it) {
    const act = { ...it, index };
    if (AFTER.includes(it.act)) this.followed.push({ act, holders: this.holders(it.msg), answers: new Map() });
    if (it.act === "answer") {
      for (const one of this.followed.filter(({ act: earlier }) => earlier.msg === it.msg)) {
        const silent = it.outcome === "erased" && !one.answers.has(it.by);
        if (one.act.digest === it.re || silent) one.answers.set(it.by, act);
      }
    }
    this.acts.push(act);
  }

  // --- sources -------------------------------------------------------------------------------------------------------

  /** ACT-20: what binds a message of `discloser` with these `src`. */
  sources(src, discloser) {
    const paths = new Map(src.map((name) => [name, this.ancestors(name)]));
    const every = new Set([...paths.values()].flatMap((path) => [...path]));
    if (every.size > MOST) return src.map((name) => ({ msg: name, holder_had: false }));
    const names = [...every].filter((name) => this.passed.get(name)?.entry.from !== discloser).sort();
    const known = new Map();
    return names.map((name) => this.source(name, discloser, paths, every, known));
  }

  source(msg, discloser, paths, every, known) {
    const message = this.passed.get(msg);
    const told = message?.entry.to.some((one) => one.id === discloser);
    if (!message || (paths.has(msg) && !told)) return { msg, holder_had: false };
    return {
      msg, holder_had: true, originator: message.entry.from, parties: message.terms?.parties ?? [],
      stopped: this.about(msg, ...AFTER).length > 0 || Boolean(this.gaveUp(discloser, msg, paths)),
      onward: this.binding(message, discloser, every, known),
      consents: this.about(msg, "consent").filter((one) => one.want === "onward" && one.holder === discloser).map((one) => ({
        ...one, until: one.ends, withdrawn: this.acts.some((other) => other.act === "withdraw" && other.re === one.digest) })),
    };
  }

  /** The act by which an agency said that it erased this very message. */
  erased(agency, msg) {
    return this.about(msg, "erased", "answer").find((one) => one.by === agency && (one.outcome ?? "erased") === "erased");
  }

  gaveUp(discloser, msg, paths) {
    if (paths.has(msg)) {
      const own = this.erased(discloser, msg);
      if (own) return own;
    }
    const emptied = this.about(msg, "answer").filter((one) => one.by === discloser && one.outcome === "erased").at(-1);
    const through = [...paths].filter(([, path]) => path.has(msg)).map(([name]) => this.passed.get(name)?.index);
    return emptied && through.some((index) => index < emptied.index) ? emptied : undefined;
  }

  /** The act that what comes from `src` contradicts, if its sender said that it had erased it. LOG-48. */
  contradicted(src, discloser) {
    const paths = new Map(src.map((name) => [name, this.ancestors(name)]));
    const every = [...new Set([...paths.values()].flatMap((path) => [...path]))].sort();
    return every.map((name) => this.gaveUp(discloser, name, paths)).find(Boolean);
  }

  /** Worked out once for each message: of ways through a tree there are far more than messages. */
  binding(message, discloser, every, known) {
    const name = message.entry.msg;
    if (!known.has(name)) known.set(name, this.workedOut(message, discloser, every, known));
    return known.get(name);
  }

  workedOut(message, discloser, every, known) {
    const { entry } = message;
    const rule = (id) => (message.terms && owed(entry, id, message.terms)?.onward) || "none";
    if (entry.to.some((one) => one.id === discloser)) return rule(discloser);
    const below = [...every].map((name) => this.passed.get(name))
      .filter((one) => one?.entry.src?.includes(entry.msg) && one.entry.from !== discloser);
    const rules = below.map((one) => (one.entry.from === entry.from ? this.binding(one, discloser, every, known) : rule(one.entry.from)));
    return rules.sort((a, b) => codes.ONWARD.indexOf(b) - codes.ONWARD.indexOf(a))[0] ?? "none";
  }
}
