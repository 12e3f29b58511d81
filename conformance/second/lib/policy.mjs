// The policy book: which agreement is in force when, and how a policy is named: spec/agreements.md, AGR-17 to AGR-28.

import { ascii, check, digest } from "./encoding.mjs";

export class Book {
  constructor() {
    this.agreements = new Map(); // digest -> terms, with its log time
    this.notices = [];
    this.logged = []; // what was logged, in the order of the log
  }

  /** AGR-17. */
  enter(terms, logged) {
    if (this.agreements.has(terms.digest)) return;
    check(this.follows(terms), "agreement_refused", "AGR-20: does not follow from what it replaces");
    this.agreements.set(terms.digest, { ...terms, logged });
    this.logged.push({ digest: terms.digest, logged });
  }

  /** AGR-20. */
  follows({ id, version, parties, replaces }) {
    if (replaces === undefined) return true;
    const old = this.agreements.get(replaces);
    if (!old || old.id !== id || old.version !== version - 1 || this.successor(replaces)) return false;
    const left = this.about(replaces).filter((notice) => notice.act === "leave").map((notice) => notice.by);
    return old.parties.every((party) => parties.includes(party) || left.includes(party));
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
}
