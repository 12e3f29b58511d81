// Bytes, strict JSON, base64, times, digests: spec/encoding.md.

import { createHash, timingSafeEqual } from "node:crypto";

/** "You erred": a stable code of spec/errors.md and a sentence. */
export class Refusal extends Error {
  constructor(code, sentence) {
    super(sentence);
    this.code = code;
  }
}

export const refuse = (code, sentence) => {
  throw new Refusal(code, sentence);
};

/** What `act` gives, its refusals of the codes in `from` (all, if none are given) turned into `code`. */
export function recoded(code, act, from) {
  try {
    return act();
  } catch (error) {
    if (error instanceof Refusal && (!from || from.includes(error.code))) refuse(code, error.message);
    throw error;
  }
}

// --- bytes -----------------------------------------------------------------------------------------------------------

export const ascii = (text) => Buffer.from(text, "latin1");
export const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
export const digest = (bytes) => b64u(sha256(bytes));
/** ENC-12, as a character class. */
export const WHITE_SPACE = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff";

export const same = (a, b) => a.length === b.length && timingSafeEqual(a, b);

export const b64u = (bytes) => Buffer.from(bytes).toString("base64url");

/** ENC-5. Node's own reader is lenient, so the one spelling is written again and compared. */
export function unb64u(text, code = "malformed") {
  if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text)) refuse(code, "ENC-5: not base64url");
  const bytes = Buffer.from(text, "base64url");
  if (bytes.toString("base64url") !== text) refuse(code, "ENC-5: base64url with a wrong length or unused bits set");
  return bytes;
}

/** Standard base64 with padding, unused bits zero: spec/log.md. */
export function unb64(text, code) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) refuse(code, "not base64");
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) refuse(code, "base64 in another spelling");
  return bytes;
}

export const DIGEST = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

// --- times -----------------------------------------------------------------------------------------------------------

export const TIME = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}))?Z$/;

/** ENC-6: milliseconds since 1970. */
export function parseTime(text, code = "malformed") {
  const match = typeof text === "string" && TIME.exec(text);
  if (!match) refuse(code, "ENC-6: not a time");
  const [year, month, day, hour, minute, second, milli] = match.slice(1).map((part) => Number(part ?? 0));
  if (!dayExists(year, month, day) || hour > 23 || minute > 59 || second > 59) {
    refuse(code, "ENC-6: a time that does not exist");
  }
  return Date.UTC(year, month - 1, day, hour, minute, second, milli);
}

export function dayExists(year, month, day) {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

export const formatTime = (instant) => new Date(instant).toISOString();

// --- JSON ------------------------------------------------------------------------------------------------------------

const LEVELS = 16;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** ENC-1 to ENC-4 and ENC-7. Objects come without a prototype, so that no name is special. */
export function parseJson(bytes, limit) {
  if (bytes.length > limit) refuse("too_large", `ENC-7: more than ${limit} bytes`);
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    refuse("malformed", "ENC-1: not UTF-8");
  }
  return new Reader(text).document();
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  document() {
    const value = this.value(1);
    this.space();
    if (this.at !== this.text.length) this.bad("something behind the value");
    return value;
  }

  bad(sentence) {
    refuse("malformed", `JSON: ${sentence} at ${this.at}`);
  }

  space() {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at += 1;
  }

  take(token) {
    if (!this.text.startsWith(token, this.at)) this.bad(`${token} expected`);
    this.at += token.length;
  }

  next(token) {
    if (this.text[this.at] !== token) return false;
    this.at += 1;
    return true;
  }

  value(level) {
    if (level > LEVELS) refuse("too_large", "ENC-7: nested too deeply");
    this.space();
    const first = this.text[this.at];
    if (first === "{") return this.object(level);
    if (first === "[") return this.array(level);
    if (first === '"') return this.string();
    for (const [token, value] of [["true", true], ["false", false], ["null", null]]) {
      if (this.text.startsWith(token, this.at)) {
        this.at += token.length;
        return value;
      }
    }
    return this.number();
  }

  object(level) {
    const object = Object.create(null);
    this.take("{");
    this.space();
    if (this.next("}")) return object;
    do {
      this.space();
      const name = this.string();
      if (name in object) this.bad("ENC-2: a member twice");
      this.space();
      this.take(":");
      object[name] = this.value(level + 1);
      this.space();
    } while (this.next(","));
    this.take("}");
    return object;
  }

  array(level) {
    const array = [];
    this.take("[");
    this.space();
    if (this.next("]")) return array;
    do {
      array.push(this.value(level + 1));
      this.space();
    } while (this.next(","));
    this.take("]");
    return array;
  }

  number() {
    const pattern = /-?(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (!match) this.bad("ENC-3: no value, or a number that is no integer");
    const number = Number(match[0]);
    if (!Number.isSafeInteger(number)) this.bad("ENC-3: an integer out of range");
    this.at = pattern.lastIndex;
    return number === 0 ? 0 : number;
  }

  string() {
    this.take('"');
    let value = "";
    for (;;) {
      const plain = /[^"\\\u0000-\u001f]*/y;
      plain.lastIndex = this.at;
      value += plain.exec(this.text)[0];
      this.at = plain.lastIndex;
      if (this.next('"')) break;
      if (!this.next("\\")) this.bad("a string that does not end, or a control character in it");
      value += this.escape();
    }
    if (!value.isWellFormed()) this.bad("ENC-4: half a surrogate pair");
    return value;
  }

  escape() {
    const letter = this.text[this.at];
    if (letter === "u") {
      const digits = this.text.slice(this.at + 1, this.at + 5);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.bad("an escape without four digits");
      this.at += 5;
      return String.fromCharCode(parseInt(digits, 16));
    }
    if (letter === undefined || !Object.hasOwn(ESCAPES, letter)) this.bad("an unknown escape");
    this.at += 1;
    return ESCAPES[letter];
  }
}

// --- forms -----------------------------------------------------------------------------------------------------------

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** ENC-8: exactly these members; those marked with a `?` at the end of the name may be absent. */
export function members(value, names, code, what) {
  if (!isObject(value)) refuse(code, `${what} is not an object`);
  const allowed = names.map((name) => name.replace("?", ""));
  for (const name of Object.keys(value)) if (!allowed.includes(name)) refuse(code, `${what} has an unknown member`);
  for (const name of names) if (!name.endsWith("?") && !(name in value)) refuse(code, `${what} lacks ${name}`);
  return value;
}

export const check = (condition, code, sentence) => {
  if (!condition) refuse(code, sentence);
};

export const isText = (value, pattern) => typeof value === "string" && pattern.test(value);
export const isCount = (value, low, high) => Number.isInteger(value) && value >= low && value <= high;
export const isList = (value, low, high) => Array.isArray(value) && value.length >= low && value.length <= high;
export const ascending = (list) => list.every((item, i) => i === 0 || list[i - 1] < item);

export const AGENCY = { test: (text) => text.length <= 40 && /^[a-z0-9-]+(\.[a-z0-9-]+)*\.sim$/.test(text) };
