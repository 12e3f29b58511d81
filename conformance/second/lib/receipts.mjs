// Signed batches of receipts: spec/receipts.md.

import { check, isList, isText, members, parseJson, parseTime, recoded } from "./encoding.mjs";
import { readSeen } from "./heads.mjs";
import { isDigest, readStatement } from "./signing.mjs";

const form = (condition, sentence) => check(condition, "receipt_malformed", `RCT-2: ${sentence}`);

/** A batch whose signatures are good by what `directory` knows, at the log time of its entries. */
export function openReceipts(value, directory, instant) {
  const statement = readStatement(value);
  const names = ["v", "typ", "fed", "by", "ts", "items", "seen?"];
  const it = members(parseJson(statement.payload, 32768), names, "receipt_malformed", "RCT-2: a batch");
  form(it.v === "ix/1" && it.typ === "receipts" && isList(it.items, 1, 100), "v, typ or items");
  form(typeof it.ts === "string" && it.ts.length === 24 && parseTime(it.ts, "receipt_malformed"), "ts");
  for (const one of it.items) {
    members(one, ["msg", "status", "code?"], "receipt_malformed", "RCT-2: an item");
    form(isDigest(one.msg) && ["delivered", "opened", "rejected"].includes(one.status), "an item");
    form("code" in one === (one.status === "rejected"), "RCT-4: code");
    form(!("code" in one) || isText(one.code, /^[a-z][a-z0-9_]{0,39}$/), "code");
  }
  const items = it.items.map((one) => `${one.msg} ${one.status}`);
  form(new Set(items).size === items.length, "RCT-3: an item twice");
  const seen = "seen" in it ? recoded("receipt_malformed", () => readSeen(it.seen)) : undefined;
  check(it.fed === directory.fed, "federation_mismatch", "RCT-5: another federation");
  form(statement.pairs.length === 1, "RCT-1: not exactly one pair");
  directory.verify(statement.pairs[0], statement.encoded, "ix-rcpt+jws", it.by, instant);
  return { ...it, ...(seen && { told: { ...seen, note: it.seen } }), digest: statement.digest };
}
