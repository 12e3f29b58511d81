// The log and the ledgers of agencies, held against each other: spec/log.md, LOG-100 to LOG-107.

import { b64u, check, digest, formatTime, parseTime } from "./encoding.mjs";
import { audited } from "./audit.mjs";
import { openLedger } from "./ledger.mjs";
import { treeRoot } from "./log.mjs";

const HOUR = 3600 * 1000;
const NOTES = ["recall_unanswered", "act_unanswered", "erasure_overdue", "not_acknowledged"];
const RENAMED = { clock_backwards: "clock_out_of_order", not_permitted: "clause_differs", signature_missing: "agreement_unsigned",
  signature_unfounded: "agreement_unsigned", agreement_refused: "agreement_unsigned", receipt_unfounded: "receipt_without_message",
  erasure_contradicted: "erasure_not_done" };
/** NODE-123: what is written of an act given, and of one heard. */
const GIVEN = { ask: "consent", consent: "consent", decline: "consent", withdraw: "consent", restrict: "recall", rectify: "recall",
  recall: "recall", answer: "recall_ack", keep: "review", erased: "erase", acknowledge: "consult" };
const HEARD = { ...GIVEN, keep: "consent", erased: "consent", acknowledge: "consent" };
const ORIGINATORS = ["consent", "decline", "withdraw", "restrict", "rectify", "recall"];
const REASONED = ["disclose", "consult", "open", "export", "combine", "alter"];
const LOOKS = ["open", "export", "key_release"];

/** `folders`: for each ledger, `{ file, names }`. */
export function reconcile(file, fed, now, folders, { grace = 72 * HOUR, tolerance = 5 * 60 * 1000 } = {}) {
  const { audit, report } = audited(file, fed, now);
  const ledgers = audit.directory ? folders.map((one) => openLedger(one.file, one.names, audit.directory)) : [];
  check(new Set(ledgers.map((one) => one.agency)).size === ledgers.length, "audit_impossible", "LOG-100: a ledger handed in twice");
  return new Reconciliation(audit, report, ledgers, grace, tolerance).run();
}

class Reconciliation {
  constructor(audit, report, ledgers, grace, tolerance) {
    Object.assign(this, { audit, report, ledgers, grace, tolerance, findings: [], onItsWay: {} });
    this.decided = new Map(); // message -> first decision
    this.receipts = new Map(); // message and giver -> receipts
    this.at = new Map(); // index -> entry
    this.end = audit.head?.time;
    this.size = audit.head?.size ?? 0;
  }

  run() {
    for (const one of this.report.findings) this.logged(one);
    for (const ledger of this.ledgers) for (const it of ledger.findings) this.find(it.code, it.who ?? ledger.agency, it.index, it.sentence, "its own head", it);
    if (this.audit.leaves) {
      for (const { index, entry, raw } of this.audit.log) this.take(index, entry, raw);
      this.heldProofs();
      const whole = this.ledgers.filter((ledger) => ledger.whole);
      for (const ledger of whole) this.one(ledger);
    }
    return this.result();
  }

  take(index, entry, raw) {
    const it = { index, raw, ...entry };
    this.at.set(index, it);
    if (["disclosure", "denial"].includes(entry.typ) && !this.decided.has(entry.msg)) this.decided.set(entry.msg, it);
    const name = `${entry.msg} ${entry.by}`;
    if (entry.typ === "receipt") this.receipts.set(name, [...(this.receipts.get(name) ?? []), it]);
  }

  find(code, who, index, sentence, proof, more = {}) {
    const severity = NOTES.includes(more.audit ?? code) ? "note" : "error";
    const { msg, audit } = more;
    this.findings.push({ code, severity, who, index: index ?? null, sentence, ...(msg && { msg }), ...(proof && { proof }), ...(audit && { audit }) });
  }

  /** LOG-105. */
  logged(one) {
    const key = ["key_unknown", "key_not_valid"].includes(one.refusal);
    const code = key ? "key_not_valid_then" : RENAMED[one.code] ?? one.code;
    const entry = this.audit.log.find((it) => it.index === one.index)?.entry;
    let who = "broker";
    if (NOTES.includes(one.code)) who = one.sentence;
    if (["head_shrank", "head_forked", "seen_forged"].includes(one.code) && !one.byBroker) who = entry.by;
    if (one.orBroker) who = `${who} or broker`;
    if (one.code === "erasure_contradicted") who = entry.from ?? entry.by;
    this.find(code, who, one.index, one.sentence, "the log's own signatures", { audit: one.code, msg: entry?.msg });
  }

  // --- proofs --------------------------------------------------------------------------------------------------------

  /** LOG-103, LOG-106: held proofs of another log than this. */
  heldProofs() {
    const against = [];
    this.held = [];
    for (const ledger of this.ledgers) {
      for (const proof of ledger.proofs) {
        const known = this.at.get(proof.index);
        const other = proof.index < this.size && !(known?.raw ?? Buffer.alloc(0)).equals(proof.raw);
        const tree = proof.size <= this.size && !treeRoot(this.audit.leaves.slice(0, proof.size)).equals(proof.root);
        if ((other || tree) && proof.replaced) { // LOG-100: whoever stole old keys convicts nobody
          this.find("held_proof_refused", `${ledger.agency} or broker`, null, `${proof.file}: of another tree, under keys that were replaced`);
          continue;
        }
        this.held.push({ ...proof, by: ledger.agency, false: other || tree });
        if (other || tree) against.push(proof);
      }
    }
    if (against.length === 0) return;
    this.broken = Math.min(...against.map((proof) => proof.index));
    const sentence = `${against.length} held proofs are of another log, from entry ${this.broken} on`;
    this.find("held_proof_contradicts_log", "broker", this.broken, sentence, "both trees are signed by the log");
  }

  /** A proof, held by anybody, of an entry that the log does not have. */
  lost(test) {
    return this.held.find((proof) => proof.false && test(proof.entry) && !this.has(proof.raw));
  }

  has(raw) {
    this.raws ??= new Set(this.audit.log.map((one) => digest(one.raw)));
    return this.raws.has(digest(raw));
  }

  own(agency, test) {
    return this.held.find((proof) => proof.by === agency && this.has(proof.raw) && test(proof.entry));
  }

  manifest(msg) {
    return this.held.find((proof) => proof.entry.msg === msg && proof.manifest)?.manifest;
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  /** LOG-101: whether a ledger that lacks what the log has of this time lacks it. */
  due(ledger, code, at, signed = false) {
    if (ledger.closed && at < ledger.lines[0].at) return false;
    const late = at + (signed ? this.tolerance : this.grace) <= ledger.head.time;
    if (!late) this.way(code);
    return late;
  }

  /** The same for a log that lacks what a ledger has. */
  missed(code, line) {
    const late = line.index === null ? line.at + this.grace <= this.end : line.index < this.size;
    if (!late) this.way(code);
    return late;
  }

  way(code) {
    this.onItsWay[code] = (this.onItsWay[code] ?? 0) + 1;
  }

  // --- one ledger ----------------------------------------------------------------------------------------------------

  one(ledger) {
    const { lines } = ledger;
    const [first] = lines;
    ledger.closed = first?.act === "review" && first.outcome === "ledger_closed";
    ledger.about = new Map(); // message -> lines
    for (const line of lines) if (line.msg) ledger.about.set(line.msg, [...(ledger.about.get(line.msg) ?? []), line]);
    ledger.of = (msg, ...acts) => (ledger.about.get(msg) ?? []).filter((line) => acts.includes(line.act) && !answers(line));
    this.heads(ledger);
    this.inside(ledger);
    this.sent(ledger);
    this.received(ledger);
    this.acts(ledger);
    this.erasures(ledger);
    this.looks(ledger);
  }

  heads({ agency, leaves, head, lines }) {
    const logged = this.audit.log.filter(({ entry }) => entry.typ === "node-head" && entry.by === agency);
    let before = 0;
    let rewritten;
    for (const { index, entry } of logged) {
      const note = entry.size > leaves.length && this.audit.notes.get(entry.head);
      if (note && note.time + this.tolerance < head.time) rewritten ??= { index, entry };
      else if (entry.size > leaves.length) {
        if (entry.at + this.grace <= this.end) this.find("ledger_behind", agency, index, `ends at ${leaves.length} of ${entry.size} acts`, "its signed head");
      } else if (!treeRoot(leaves.slice(0, entry.size)).equals(Buffer.from(entry.root, "base64url"))) rewritten ??= { index, entry };
      before = Math.max(before, entry.size);
    }
    if (rewritten) this.find("ledger_rewritten", agency, rewritten.index, `another root or fewer acts at ${rewritten.entry.size} acts`, "its signed head");
    if (lines.some((line) => line.n > before && line.at + this.grace <= this.end)) {
      this.find("head_missing", `${agency} or broker`, null, `no head covers the acts behind ${before}`);
    }
    const notes = this.audit.heads?.get(agency);
    if (notes) for (const line of lines.slice(notes.size)) this.clock(line.at < notes.time, agency, line, "before a head of fewer acts");
    for (const line of lines) this.clock(line.at > head.time, agency, line, "after the head over it");
  }

  clock(wrong, agency, line, sentence, index = line.index) {
    if (wrong) this.find("clock_out_of_order", agency, index, `act ${line.n} ${sentence}`, "its own head", { msg: line.msg });
  }

  inside({ agency, lines }) {
    const seen = new Set();
    let latest = -Infinity;
    for (const line of lines) {
      if (line.at < latest - this.tolerance) this.clock(true, agency, line, "is dated before the one in front of it");
      latest = Math.max(latest, line.at);
      const entry = this.at.get(line.index);
      if (entry && line.at < entry.at - this.tolerance && !this.shaken(line.index)) this.clock(true, `${agency} or broker`, line, "is dated before the entry it names");
      const unreasoned = line.by !== null && REASONED.includes(line.act) && (!line.code || !line.why);
      const nobody = line.by === null && ["open", "export"].includes(line.act);
      if (unreasoned || nobody) this.find("act_unjustified", agency, line.index, `act ${line.n} is a ${line.act} without a reason`, "its own head", { msg: line.msg });
      const once = onceOnly(line);
      if (once && seen.has(once)) this.find("ledger_doubled", agency, line.index, `act ${line.n} says ${once} again`, "its own head", { msg: line.msg });
      seen.add(once);
    }
  }

  // --- sent ----------------------------------------------------------------------------------------------------------

  sent(ledger) {
    const { agency } = ledger;
    for (const line of ledger.lines) {
      const denied = line.act === "attempt_denied" && line.index !== null;
      if (line.act !== "disclose" && !denied) continue;
      const entry = this.decided.get(line.msg);
      const [typ, code] = denied ? ["denial", "not_in_log"] : ["disclosure", "disclosed_not_logged"];
      if (entry?.typ === typ && entry.from === agency) this.compare(ledger, line, entry);
      else if (this.missed(code, line)) {
        const lost = this.lost((it) => it.typ === typ && it.msg === line.msg);
        this.find(code, lost ? "broker" : agency, line.index, `${line.act} of ${line.msg}`, lost ? "a held proof" : "no proof of it", { msg: line.msg });
      }
    }
    for (const entry of this.decided.values()) {
      if (entry.from !== agency) continue;
      const denied = entry.typ === "denial";
      const there = (ledger.about.get(entry.msg) ?? []).some((line) =>
        (denied ? line.act === "attempt_denied" && line.index !== null : line.act === "disclose"));
      const code = denied ? "not_in_ledger" : "logged_not_disclosed";
      if (there || !this.due(ledger, code, entry.at)) continue;
      const shown = (!denied && this.manifest(entry.msg)) || this.own(agency, (it) => it.msg === entry.msg && it.typ === entry.typ);
      this.find(code, shown ? agency : `${agency} or broker`, entry.index, `no act of ${entry.msg}`, shown && "its signed manifest or its own proof", entry);
    }
  }

  /** LOG-106: behind the place from which on the log is another, no index tells against an agency. */
  shaken(...indices) {
    return this.broken !== undefined && Math.max(...indices.map((one) => one ?? -1)) >= this.broken;
  }

  /** The particulars of a decision, as an act has them. */
  compare(ledger, line, entry, mine = true) {
    const to = entry.to.map((one) => one.id);
    const manifest = this.manifest(entry.msg);
    const own = this.own(ledger.agency, (it) => it.msg === entry.msg && it.typ === entry.typ);
    const lost = this.lost((it) => it.msg === entry.msg && ["disclosure", "denial"].includes(it.typ));
    const differs = (name, ours, theirs) => ours !== null && ours !== undefined && list(ours) !== list(theirs) && name;
    const facts = [differs("agr", line.agr, entry.agr), line.to && differs("from", line.from, entry.from), differs("to", line.to, to),
      differs("purpose", line.purpose, entry.purpose), differs("cats", line.cats, entry.cats),
      entry.typ === "denial" && differs("outcome", line.outcome, entry.code)].filter(Boolean);
    const month = manifest && manifest.ts.slice(0, 7) === line.ts.slice(0, 7);
    if (mine && month && line.by !== null && differs("by", line.by, manifest.by)) facts.push("by");
    const place = differs("index", line.index, entry.index);
    const clauses = entry.typ === "denial" ? entry.to.flatMap((one) => one.nearest ?? []) : entry.to.flatMap((one) => one.clauses);
    const either = `${ledger.agency} or broker`;
    const about = { msg: entry.msg };
    const shifted = place && !this.shaken(line.index, entry.index);
    if (facts.length > 0 || shifted) {
      const shown = facts.length > 0 && manifest ? manifestSays(manifest, entry) : undefined;
      const who = lost || shown === false ? "broker" : shown || own ? ledger.agency : either;
      this.find("facts_differ", who, entry.index, [...facts, place].filter(Boolean).join(" "), who !== either && "a manifest or held proof", about);
    }
    if (differs("clauses", line.clauses && [...new Set(line.clauses)], [...new Set(clauses)])) {
      const who = lost ? "broker" : own ? ledger.agency : either;
      this.find("clause_differs", who, entry.index, "clauses", who !== either && "a held proof", about);
    }
  }

  // --- received ------------------------------------------------------------------------------------------------------

  received(ledger) {
    const { agency } = ledger;
    for (const line of ledger.lines) if (line.act === "receive") this.taken(ledger, line);
    for (const entry of this.decided.values()) {
      if (entry.typ !== "disclosure" || !entry.to.some((one) => one.id === agency)) continue;
      const lines = ledger.of(entry.msg, "receive");
      const receipts = this.receipts.get(`${entry.msg} ${agency}`) ?? [];
      if (lines.length === 0) this.neverTaken(ledger, entry, receipts);
      else this.receipted(ledger, entry, lines, receipts);
    }
  }

  taken(ledger, line) {
    const { agency } = ledger;
    const entry = this.decided.get(line.msg);
    if (entry?.typ === "disclosure" && entry.to.some((one) => one.id === agency)) return this.compare(ledger, line, entry, false);
    if (!this.missed("disclosed_not_logged", line)) return undefined;
    const lost = this.lost((it) => it.typ === "disclosure" && it.msg === line.msg);
    const kept = line.outcome === "delivered" && ledger.of(line.msg, "erase").length === 0;
    const who = lost ? "broker" : kept ? agency : `${agency} or broker`;
    return this.find("disclosed_not_logged", who, line.index, `took in ${line.msg}`, (lost || kept) && "a held proof, or none", { msg: line.msg });
  }

  neverTaken(ledger, entry, receipts) {
    const { agency } = ledger;
    const either = `${agency} or broker`;
    const about = { msg: entry.msg };
    const [receipt] = receipts;
    if (receipt) {
      if (!this.due(ledger, "receipt_without_message", receipt.at, true)) return;
      const batch = receipts.find((one) => this.batch(one));
      this.find("receipt_without_message", batch ? agency : either, receipt.index, `receipt for ${entry.msg}`, batch && `the batch signed by ${agency}`, about);
      return;
    }
    if (!this.due(ledger, "logged_not_delivered", entry.at)) return;
    const shown = ledger.of(entry.msg, ...LOOKS, "erase").length > 0 || this.own(agency, (it) => it.msg === entry.msg && it.typ === "disclosure");
    this.find("logged_not_delivered", shown ? agency : either, entry.index, `${entry.msg} is not there`, shown && "its own book", about);
  }

  /** The signed batch of a receipt entry, exported or held by anybody. */
  batch(entry) {
    return this.audit.batches.get(entry.batch) ?? this.held.find((one) => one.batch?.digest === entry.batch)?.batch;
  }

  receipted(ledger, entry, lines, receipts) {
    const { agency } = ledger;
    const either = `${agency} or broker`;
    const about = { msg: entry.msg };
    const status = (one) => (one.status === "rejected" ? one.code : "delivered");
    const given = receipts.filter((one) => one.status !== "opened");
    for (const receipt of given) {
      const line = lines.find((one) => one.outcome === status(receipt));
      if (line) this.before(ledger, receipt, line);
      else if (this.due(ledger, "facts_differ", receipt.at, true)) {
        const batch = this.batch(receipt);
        this.find("facts_differ", batch ? agency : either, receipt.index, `receipt ${status(receipt)}`, batch && `the batch signed by ${agency}`, about);
      }
    }
    const outcomes = lines.filter((line) => line.outcome !== "message_recalled");
    for (const line of outcomes) {
      if (!given.some((one) => status(one) === line.outcome)) this.unreceipted(ledger, entry, line, ["delivered", "rejected"]);
    }
    const opened = receipts.find((one) => one.status === "opened");
    const opens = ledger.of(entry.msg, "open");
    if (opens.length > 0 && !opened) this.unreceipted(ledger, entry, opens[0], ["opened"]);
    if (opened && opens.length > 0) this.before(ledger, opened, opens[0]);
    if (opened && opens.length === 0 && this.due(ledger, "not_in_ledger", opened.at, true)) {
      const batch = this.batch(opened);
      this.find("not_in_ledger", batch ? agency : either, opened.index, `no open of ${entry.msg}`, batch && `the batch signed by ${agency}`, about);
    }
  }

  unreceipted(ledger, entry, line, kinds) {
    if (line.at + this.grace > this.end) return this.way("delivered_not_receipted");
    const lost = this.lost((it) => it.typ === "receipt" && it.msg === entry.msg && it.by === ledger.agency && kinds.includes(it.status));
    const who = lost ? "broker" : `${ledger.agency} or broker`;
    return this.find("delivered_not_receipted", who, entry.index, `${line.act} of ${entry.msg}`, lost && "a held proof", { msg: entry.msg });
  }

  /** LOG-104: no batch is dated before the act that it tells of. */
  before(ledger, receipt, line) {
    const batch = this.batch(receipt);
    const at = batch ? parseTime(batch.ts) : receipt.at;
    const who = batch ? ledger.agency : `${ledger.agency} or broker`;
    if (at < line.at - this.tolerance) this.clock(true, who, line, "is dated after its receipt", receipt.index);
  }

  // --- acts ----------------------------------------------------------------------------------------------------------

  acts(ledger) {
    const { agency } = ledger;
    const written = new Map(); // index -> line
    for (const line of ledger.lines) {
      if (!answers(line)) continue;
      const entry = this.at.get(line.index);
      const mine = line.from === agency;
      const about = entry?.typ === "act" && (mine ? entry.by === agency && entry.msg === line.msg : entry.by !== agency);
      if (about) {
        written.set(line.index, line);
        this.said(ledger, line, entry, mine);
      } else if (!this.shaken(line.index) && this.missed("not_in_log", line)) {
        const lost = this.lost((it) => it.typ === "act" && it.msg === line.msg && it.by === line.from);
        this.find("not_in_log", lost ? "broker" : agency, line.index, `${line.outcome} of ${line.from}`, lost ? "a held proof" : "no proof of it", { msg: line.msg });
      }
    }
    for (const { index, entry } of this.audit.log) {
      if (entry.typ !== "act" || written.has(index) || this.shaken(index)) continue;
      const mine = entry.by === agency;
      if (!mine && !this.told(entry, index).includes(agency)) continue;
      const code = mine ? "not_in_ledger" : "logged_not_delivered";
      if (!this.due(ledger, code, entry.at)) continue;
      const signed = this.audit.tree.find(entry.statement);
      const own = this.own(agency, (it) => it.statement === entry.statement);
      const who = mine ? (signed ? agency : "broker") : own ? agency : `${agency} or broker`;
      this.find(code, who, index, `${entry.act} of ${entry.by}`, (signed || own) && "the signed act", { msg: entry.msg });
    }
  }

  said(ledger, line, entry, mine) {
    const act = this.audit.tree.find(entry.statement);
    const says = [line.msg === entry.msg, mine || line.from === entry.by, (mine ? GIVEN : HEARD)[entry.act] === line.act,
      line.outcome === (act?.outcome ?? entry.act)];
    if (says.every(Boolean) || !act) return;
    this.find("facts_differ", ledger.agency, entry.index, `act ${line.n} says otherwise`, "the signed act", { msg: entry.msg });
  }

  /** ACT-10. */
  told(entry, index) {
    const { tree } = this.audit;
    const act = tree.find(entry.statement);
    const originator = this.decided.get(entry.msg)?.from;
    if (!act) return [];
    if (!ORIGINATORS.includes(entry.act)) return [originator];
    if (entry.act === "consent") return [act.holder, ...(act.to ?? [])].filter((id) => id !== entry.by);
    const earlier = tree.find(entry.re);
    if (entry.act === "withdraw") return [earlier?.holder, ...(earlier?.to ?? [])].filter((id) => id !== entry.by);
    if (entry.act === "decline") return [earlier?.by];
    return [...(tree.followed.find((one) => one.act.index === index)?.holders.keys() ?? [])];
  }

  // --- erasures and looks --------------------------------------------------------------------------------------------

  erasures(ledger) {
    const { agency } = ledger;
    const { tree } = this.audit;
    const said = new Map(); // message -> index from which on it is said to be gone
    for (const { index, entry } of this.audit.log) {
      const act = entry.typ === "act" && entry.by === agency && tree.find(entry.statement);
      if (!act || (entry.act !== "erased" && !(entry.act === "answer" && act.outcome === "erased"))) continue;
      for (const [msg] of ledger.about) {
        const concerned = msg === entry.msg || (entry.act === "answer" && tree.passed.has(msg) && tree.ancestors(msg).has(entry.msg));
        const received = ledger.of(msg, "receive").filter((line) => line.outcome === "delivered" && (line.index ?? 0) < index);
        if (!concerned || received.length === 0 || (tree.passed.get(msg)?.index ?? Infinity) > index) continue;
        said.set(msg, index);
        const [erased] = ledger.of(msg, "erase");
        const used = erased && ledger.of(msg, ...LOOKS).some((line) => line.n > erased.n);
        if (!erased && !this.due(ledger, "erasure_not_done", entry.at, true)) continue;
        if (!erased || used) this.find("erasure_not_done", agency, index, `${msg} was ${erased ? "used" : "not erased"}`, "its signed act", { msg });
        else if (erased.at > entry.at + this.tolerance) this.clock(true, agency, erased, "is dated after its own word", index);
      }
    }
    for (const line of ledger.lines) {
      if (line.act !== "erase" || answers(line) || !line.msg || said.has(line.msg)) continue;
      if (ledger.of(line.msg, "receive").length === 0) continue;
      if (line.at + this.grace > this.end) this.way("not_in_log");
      else this.find("not_in_log", `${agency} or broker`, line.index, `nobody said that ${line.msg} was erased`, undefined, { msg: line.msg });
    }
  }

  looks(ledger) {
    const { agency } = ledger;
    for (const line of ledger.lines) {
      if (![...LOOKS, "erase"].includes(line.act) || answers(line) || !line.msg) continue;
      const entry = this.decided.get(line.msg);
      if (entry?.typ === "disclosure" && (entry.from === agency || entry.to.some((one) => one.id === agency))) continue;
      if (ledger.of(line.msg, "receive", "disclose").length > 0) continue; // found there
      if (!this.missed("not_in_log", line)) continue;
      const lost = this.lost((it) => it.typ === "disclosure" && it.msg === line.msg);
      this.find("not_in_log", lost ? "broker" : agency, line.index, `${line.act} of ${line.msg}`, lost ? "a held proof" : "no proof of it", { msg: line.msg });
    }
  }

  // --- what comes of it ----------------------------------------------------------------------------------------------

  /** LOG-107. */
  result() {
    const { report, ledgers } = this;
    const given = new Set(ledgers.map((one) => one.agency));
    const named = new Set();
    for (const { entry } of this.audit.log) {
      if (["disclosure", "denial"].includes(entry.typ)) named.add(entry.from);
      if (entry.typ === "disclosure") entry.to.forEach((one) => named.add(one.id));
      if (entry.typ === "act") named.add(entry.by);
    }
    const heads = (id) => this.audit.log.filter(({ entry }) => entry.typ === "node-head" && entry.by === id).length;
    return {
      clean: this.findings.every((one) => one.severity === "note"),
      federation: report.federation, log: report.log ?? null,
      ledgers: ledgers.map(({ agency, head, proofs }) => ({
        agency, acts: head?.size ?? null, root: head ? b64u(head.root) : null, signed: head ? formatTime(head.time) : null,
        heads: heads(agency), proofs: proofs.length,
      })),
      not_handed_in: [...named].filter((id) => !given.has(id)).sort(),
      grace_hours: this.grace / HOUR, tolerance_seconds: this.tolerance / 1000, on_its_way: this.onItsWay,
      findings: this.findings,
    };
  }
}

const list = (value) => (Array.isArray(value) ? [...value].sort().join(" ") : String(value));

/** Whether a manifest bears out a decision's entry in what an act repeats. */
function manifestSays(manifest, entry) {
  const ids = (it) => it.to.map((one) => one.id);
  return manifest.agr === entry.agr && manifest.from === entry.from && list(ids(manifest)) === list(ids(entry))
    && manifest.purpose === entry.purpose && list(manifest.cats) === list(entry.cats);
}

/** NODE-123: whether a line is of an act, given or heard, and not of something done here. */
function answers({ act, outcome, index }) {
  if (["consent", "recall", "recall_ack"].includes(act)) return index !== null;
  const kind = { erased: "erase", keep: "review", acknowledge: "consult" }[outcome];
  return index !== null && kind === act;
}

/** What happens once, by a name. */
function onceOnly(line) {
  if (answers(line)) return `the act at ${line.index}`;
  if (line.act === "disclose") return `disclose ${line.msg}`;
  if (line.act === "attempt_denied" && line.index !== null) return `denial ${line.msg}`;
  if (line.act === "receive") return `receive ${line.msg} ${line.outcome}`;
  if (line.act === "erase" && line.msg) return `erase ${line.msg}`;
  return undefined;
}
