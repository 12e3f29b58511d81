// An exported log, held against itself and the pinned federation id: spec/log.md, LOG-50 to LOG-52.
//
// What is found is a list of findings. Where the specification does not say what is still judged after a finding, this
// stops at the first stage that found something: trust and checkpoint, then tiles and entries; and once a record,
// agreement or notice is refused or missing, no decision behind it is made again and no notice held against the book,
// since what they rest on is not known. The same is done for acts, and for decisions about what comes from others.

import { Refusal, b64u, check, digest, formatTime, parseJson, parseTime } from "./encoding.mjs";
import { Directory } from "./directory.mjs";
import { openCheckpoint, readEntry, treeRoot } from "./log.mjs";
import { readTree } from "./tree.mjs";
import { namesLog, openHead } from "./heads.mjs";
import { Lineage, openAct } from "./acts.mjs";
import { decide, dueAt, loggedNearest } from "./deciding.mjs";
import { Book } from "./policy.mjs";
import { openReceipts } from "./receipts.mjs";
import { openAgreement, openNotice } from "./terms.mjs";

const NOTES = ["recall_unanswered", "act_unanswered", "erasure_overdue", "not_acknowledged"];
const WITHIN_CLOCKS = 5 * 60 * 1000;
const WITHIN = 72 * 3600 * 1000;

/** `file(name)` gives the bytes of a file of the export, or undefined. */
export function auditExport(file, fed, now) {
  return new Audit(file, fed, now).run();
}

/** The same, for whoever holds other books against it: all that was read of the log. */
export function audited(file, fed, now) {
  const audit = new Audit(file, fed, now);
  return { audit, report: audit.run() };
}

class Audit {
  constructor(file, fed, now) {
    Object.assign(this, { file, fed, now, findings: [], counts: {}, log: [], batches: new Map(), notes: new Map() });
  }

  find(code, index, sentence, refusal) {
    this.findings.push({ code, index, sentence, ...(refusal && { refusal }) });
  }

  /** What `act` gives; its refusal as a finding. */
  try(code, index, act) {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.find(code, index, `${error.code}: ${error.message}`, error.code);
      return undefined;
    }
  }

  count(name) {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  run() {
    const [trust, note] = [this.file("trust.json"), this.file("checkpoint")];
    check(trust && note, "audit_impossible", "LOG-50: no trust.json or no checkpoint");
    this.directory = this.try("trust_refused", null, () => Directory.parse(trust, this.fed, this.now));
    if (!this.directory) return this.report();
    const { log } = this.directory.root;
    this.head = this.try("checkpoint_refused", null, () => openCheckpoint(note.toString("utf8"), log));
    if (!this.head) return this.report();
    const tree = readTree(this.file, this.head, (code, index, sentence) => this.find(code, index, sentence));
    this.leaves = tree?.leaves;
    const entries = tree?.entries ?? [];
    if (this.findings.length === 0) this.read(entries);
    this.findings.sort((a, b) => (a.index ?? -1) - (b.index ?? -1));
    return this.report();
  }

  report() {
    const root = this.directory?.root;
    return {
      clean: this.findings.every((one) => NOTES.includes(one.code)),
      federation: root && { id: this.fed, name: root.name },
      log: this.head && { origin: root.log.origin, size: this.head.size, root: b64u(this.head.root),
        signed: formatTime(this.head.time) },
      counts: this.counts,
      findings: this.findings,
      ...(this.tree && { followed: this.tree.followed.map(answersTo) }),
    };
  }

  // --- entries -------------------------------------------------------------------------------------------------------

  read(entries) {
    this.book = new Book();
    this.known = true; // all that decisions rest on
    this.logged = new Map(); // agency -> newest logged record
    this.view = this.directory.knowing(this.logged); // by which signatures are judged
    this.decided = new Set();
    this.disclosed = new Map(); // message -> recipients
    this.receipts = new Set();
    this.tree = new Lineage();
    this.whole = true; // no act is missing or refused
    this.refused = new Set(); // acts
    this.signed = new Map(); // agreement -> party -> index
    this.complete = new Set(); // agreements
    this.had = new Set(); // message and agency, by its own receipt
    this.opened = new Map(); // the same -> when it said that it opened it
    this.heads = new Map(); // agency -> its largest head
    this.seen = new Set(); // batches whose word about the log was judged
    let before = -Infinity;
    for (const { index, bytes } of entries) {
      const entry = this.try("entry_refused", index, () => readEntry(bytes));
      if (!entry) continue;
      this.count(entry.typ);
      this.log.push({ index, entry, raw: bytes });
      if (entry.at < before) this.find("clock_backwards", index, "dated before the entry in front of it");
      before = Math.max(before, entry.at);
      const names = [entry.from, entry.by, entry.agency, ...(entry.parties ?? []), ...(entry.to ?? []).map((one) => one.id)];
      const strangers = names.filter((id) => id !== undefined && !this.directory.agencies.has(id));
      if (strangers.length > 0) this.find("party_unknown", index, strangers.join());
      else this[entry.typ](entry, index);
    }
    for (const [agency, versions] of this.directory.agencies) {
      for (const it of versions.slice(this.logged.get(agency)?.version ?? 0)) {
        this.find("record_not_logged", null, `${agency} version ${it.version}`);
      }
    }
    this.silence();
    this.overdue();
  }

  /** LOG-47. */
  silence() {
    for (const { act, holders, answers } of this.tree.followed) {
      if (this.head.time - act.logged <= WITHIN) continue;
      const code = act.act === "recall" ? "recall_unanswered" : "act_unanswered";
      for (const id of holders.keys()) if (!answers.has(id)) this.find(code, act.index, id);
    }
  }

  /** LOG-49, LOG-55. */
  overdue() {
    for (const { index, entry, terms } of this.tree.passed.values()) {
      for (const { id } of terms ? entry.to : []) {
        const opened = entry.handling.includes("H3") && this.opened.get(`${entry.msg} ${id}`);
        const said = this.tree.about(entry.msg, "acknowledge").some((one) => one.by === id);
        if (opened && !said && this.head.time - opened > WITHIN) this.find("not_acknowledged", index, id);
        if (!this.had.has(`${entry.msg} ${id}`) || this.tree.erased(id, entry.msg)) continue;
        const kept = this.tree.about(entry.msg, "keep").filter((one) => one.by === id).at(-1);
        const due = dueAt(entry, id, terms, kept?.ends);
        if (due !== undefined && this.head.time - due > WITHIN) this.find("erasure_overdue", index, id);
      }
    }
  }

  record(entry, index) {
    const it = this.directory.agencies.get(entry.agency)[entry.version - 1];
    const next = (this.logged.get(entry.agency)?.version ?? 0) + 1;
    if (it?.statement.digest !== entry.record || entry.version !== next) {
      return this.spoil("record_refused", index, "not the directory's, or out of order");
    }
    this.logged.set(entry.agency, it);
    this.view = this.directory.knowing(this.logged);
    return undefined;
  }

  signature(entry, index) {
    if (this.complete.has(entry.agr)) return this.find("signature_unfounded", index, "complete before");
    const signed = this.signed.get(entry.agr) ?? new Map();
    this.signed.set(entry.agr, signed);
    if (!signed.has(entry.by)) signed.set(entry.by, index);
    return undefined;
  }

  /** LOG-46. */
  signatures(entry, index) {
    const signed = this.signed.get(entry.agr) ?? new Map();
    const again = this.complete.has(entry.agr);
    const missing = again ? [] : entry.parties.filter((party) => !signed.has(party));
    if (missing.length > 0 && this.known) this.find("signature_missing", index, missing.join());
    for (const [by, place] of again ? [] : signed) {
      if (!entry.parties.includes(by)) this.find("signature_unfounded", place, `${by} is no party`);
    }
    this.complete.add(entry.agr);
  }

  act(entry, index) {
    const name = `acts/${entry.statement}.json`;
    const bytes = this.file(name);
    const refused = (error) => {
      if (!(error instanceof Refusal)) throw error;
      this.refused.add(entry.statement);
      this.unsourced = true;
      this.find(error.code === "act_not_theirs" ? error.code : "act_refused", index, error.message, error.code);
    };
    if (!bytes) {
      [this.unsourced, this.whole] = [true, false];
      return this.find("file_missing", index, name);
    }
    let it;
    try {
      it = openAct(parseJson(bytes, 262144), this.view, entry.at);
      const says = it.digest === entry.statement && ["act", "by", "msg", "re"].every((member) => it[member] === entry[member]);
      check(says && !this.tree.find(it.digest), "act_refused", "LOG-51: does not say what its entry says, or again");
    } catch (error) {
      return refused(error);
    }
    try {
      this.tree.may(it);
    } catch (error) {
      if (this.known && this.whole && !this.refused.has(it.re)) return refused(error);
      [this.unsourced, this.whole] = [true, false]; // what it rests on is not known
    }
    return this.tree.enter(index, it);
  }

  agreement(entry, index) {
    this.signatures(entry, index);
    const terms = this.statement(`agreements/${entry.agr}.json`, "agreement_refused", index, (value) => {
      const it = openAgreement(value, this.view, entry.at);
      const says = it.digest === entry.agr && it.parties.join() === entry.parties.join() && it.replaces === entry.replaces;
      check(says, "agreement_refused", "LOG-51: does not say what its entry says");
      if (this.known || this.book.follows(it)) this.book.enter(it, entry.at); // else it may rest on what is missing
      return it;
    });
    if (!terms) this.known = false;
  }

  suspension(entry, index) {
    const notice = this.statement(`notices/${entry.notice}.json`, "notice_refused", index, (value) => {
      const it = openNotice(value, this.view, entry.at);
      const says = it.digest === entry.notice && ["agr", "by", "act"].every((name) => it[name] === entry[name]);
      check(says, "notice_refused", "LOG-51: does not say what its entry says");
      if (this.known) this.book.note(it, entry.at);
      return it;
    });
    if (!notice) this.known = false;
  }

  /** LOG-97. */
  "node-head"(entry, index) {
    const name = `heads/${entry.head}`;
    const bytes = this.file(name);
    if (!bytes) return this.find("file_missing", index, name);
    const it = this.try("head_refused", index, () => {
      const head = openHead(bytes, entry.by, this.view, entry.at);
      const says = digest(bytes) === entry.head && head.size === entry.size && b64u(head.root) === entry.root;
      check(says, "head_refused", "LOG-97: does not say what its entry says");
      return head;
    });
    if (!it) return undefined;
    this.notes.set(entry.head, it);
    const largest = this.heads.get(entry.by);
    if (it.size < largest?.size) {
      this.find("head_shrank", index, `${it.size} behind ${largest.size}`);
      this.findings.at(-1).byBroker = it.time <= largest.time + WITHIN_CLOCKS; // taken up in another order than signed in
      return undefined;
    }
    if (it.size === largest?.size) {
      return it.root.equals(largest.root) || this.find("head_forked", index, `two ledgers of ${it.size} acts`);
    }
    return this.heads.set(entry.by, it);
  }

  /** RCT-10: what the giver of a batch says it saw, held against the log it stands in. */
  told({ told, digest: name, by }, index) {
    if (!told || this.seen.has(name)) return;
    this.seen.add(name);
    const { log } = this.directory.root;
    const fits = told.origin === log.origin && told.size <= index && treeRoot(this.leaves.slice(0, told.size)).equals(told.root);
    if (fits) return;
    const signed = this.directory.roots.some((root) => {
      try {
        return openCheckpoint(told.note, root.log) && told.origin === log.origin;
      } catch (error) {
        if (error instanceof Refusal) return false;
        throw error;
      }
    });
    this.find(signed ? "log_forked" : "seen_forged", index, `${by} tells of ${told.size} entries`);
    if (!signed && !namesLog(told, this.directory)) this.findings.at(-1).orBroker = true;
  }

  statement(name, code, index, open) {
    const bytes = this.file(name);
    if (!bytes) return this.find("file_missing", index, name);
    return this.try(code, index, () => open(parseJson(bytes, 262144)));
  }

  spoil(code, index, sentence) {
    this.known = false;
    this.find(code, index, sentence);
  }

  disclosure(entry, index) {
    if (!this.disclosed.has(entry.msg)) this.disclosed.set(entry.msg, entry.to.map((one) => one.id));
    this.again(entry, index, (decision) => {
      if (decision.code !== "permitted") return this.find("not_permitted", index, decision.code);
      const clauses = decision.to.map((one) => one.clauses.join(" ")).join();
      const same = clauses === entry.to.map((one) => one.clauses.join(" ")).join() && decision.policy === entry.policy;
      return same || this.find("decision_differs", index, "other clauses or another policy");
    });
    this.tree.disclose(index, entry, this.book.agreements.get(entry.agr));
  }

  denial(entry, index) {
    this.again(entry, index, (decision) => {
      if (decision.code === "permitted") return this.find("wrongly_denied", index, "permitted");
      const told = (one, near) => `${one.id} ${one.code} ${near ?? ""}`;
      const same = decision.code === entry.code && decision.policy === entry.policy
        && decision.to.map((one) => told(one, loggedNearest(one, entry.agr))).join()
          === entry.to.map((one) => told(one, one.nearest)).join();
      return same || this.find("decision_differs", index, "other codes, other clauses or another policy");
    });
  }

  /** LOG-42. */
  again(entry, index, compare) {
    for (const name of [entry.msg, `${entry.from} ${entry.id}`]) {
      if (this.decided.has(name)) this.find("decided_twice", index, name);
      this.decided.add(name);
    }
    const src = entry.src ?? [];
    if (this.tree.contradicted(src, entry.from)) this.find("erasure_contradicted", index, "from what it said it erased");
    if (!this.known || (src.length > 0 && this.unsourced)) return;
    this.count("decided_again");
    const recordOf = (id) => this.logged.get(id);
    const asked = { ...entry, to: entry.to.map((one) => one.id), sources: this.tree.sources(src, entry.from) };
    compare(decide(this.book, asked, recordOf, entry.at));
  }

  receipt(entry, index) {
    const name = `${entry.msg} ${entry.by} ${entry.status}`;
    if (this.receipts.has(name)) return this.find("receipt_repeated", index, name);
    this.receipts.add(name);
    const founded = this.disclosed.get(entry.msg)?.includes(entry.by);
    if (!founded) this.find("receipt_unfounded", index, "not disclosed to its giver");
    const bytes = this.file(`receipts/${entry.batch}.json`);
    const batch = bytes && this.try("receipt_refused", index, () => this.batch(parseJson(bytes, 262144), entry, index));
    if (batch) this.count("signed_receipts");
    if (!founded || (bytes && !batch)) return undefined;
    if (entry.status !== "rejected") this.had.add(`${entry.msg} ${entry.by}`);
    if (entry.status === "opened") this.opened.set(`${entry.msg} ${entry.by}`, entry.at);
    const erased = entry.status === "opened" && this.tree.erased(entry.by, entry.msg);
    const later = !batch || parseTime(batch.ts) > erased?.given;
    return erased && later && this.find("erasure_contradicted", index, "opened what it said it erased");
  }

  batch(value, entry, index) {
    const it = openReceipts(value, this.view, entry.at);
    const says = it.items.some((one) => one.msg === entry.msg && one.status === entry.status && one.code === entry.code);
    check(it.digest === entry.batch && it.by === entry.by && says, "receipt_refused", "says something else");
    this.batches.set(it.digest, it);
    this.told(it, index);
    return it;
  }
}

/** LOG-47, as a report shows it. */
function answersTo({ act, holders, answers }) {
  const said = (it) => ({ index: it.index, ts: formatTime(it.logged), outcome: it.outcome, ...("ground" in it && { ground: it.ground }) });
  return {
    index: act.index, ts: formatTime(act.logged), act: act.act, msg: act.msg, by: act.by, statement: act.digest,
    holders: [...holders].map(([id, through]) => ({ id, through, ...(answers.has(id) && { answer: said(answers.get(id)) }) })),
  };
}
