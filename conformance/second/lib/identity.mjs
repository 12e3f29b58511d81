// Who a protected person is, sealed to a role: spec/content.md, CNT-70 to CNT-72.

import { randomBytes } from "node:crypto";
import Ajv2020 from "ajv/dist/2020.js";
import { ascii, b64u, check, parseJson, recoded, same, sha256, unb64u } from "./encoding.mjs";
import { MEDIA, SCHEMA, attachment, nameOf, plainStrings, strings } from "./content.mjs";
import * as seal from "./sealing.mjs";

const LIMIT = 65536;
const rule = (condition, sentence) => check(condition, "content_malformed", `CNT-71: ${sentence}`);

// --- what is inside --------------------------------------------------------------------------------------------------

const { $defs } = SCHEMA;
const [LINE, TEXT] = [$defs.Communication.properties.provider, $defs.Communication.properties.note];
const DAY = $defs.Document.properties.issued;
const ref = (name) => ({ $ref: `#/$defs/${name}` });
const upTo8 = (items, minItems = 0) => ({ type: "array", minItems, maxItems: 8, items });
const object = (required, properties) => ({ type: "object", additionalProperties: false, required, properties });
const { number, issuer } = $defs.Document.properties;
const FORM = { $defs, ...object(["v", "simulation", "subject"], {
  v: { const: "ix-identity/1" }, simulation: { const: true }, subject: { type: "string" },
  names: upTo8(ref("Name")), birth: { anyOf: [DAY, $defs.Person.properties.birth_year] },
  documents: upTo8(object(["document"], { document: ref("DocumentKind"), number, issuer })),
  contacts: upTo8(object(["medium", "value"], { medium: ref("CommunicationKind"), value: LINE })),
  accounts: upTo8(number),
  relatives: upTo8(object(["names", "relation"], { names: upTo8(ref("Name"), 1), relation: LINE })),
  whereabouts: TEXT, photo: ref("Attachment"), note: TEXT,
}) };
const valid = new Ajv2020({ strict: false, validateFormats: false, unicodeRegExp: true }).compile(FORM);

/** CNT-71: bytes to an identity, or `content_malformed`. */
export function parseIdentity(bytes) {
  const it = recoded("content_malformed", () => parseJson(bytes, LIMIT));
  rule(valid(it), `${valid.errors?.[0]?.instancePath} ${valid.errors?.[0]?.keyword}`);
  plainStrings(it);
  for (const name of namesOf(it)) nameOf(name);
  for (const { medium, value } of it.contacts ?? []) rule(MEDIA[medium].test(value), "value of a contact");
  if ("photo" in it) attachment(it.photo);
  return it;
}

const namesOf = (it) => [...(it.names ?? []), ...(it.relatives ?? []).flatMap((one) => one.names)];

// --- the part --------------------------------------------------------------------------------------------------------

/** CNT-70: what a part is bound to. `from`, `fed`: of the message; `reference`: the content's `case.reference`. */
function context({ fed, from, reference }, { id, for: role, subject, keys }) {
  const lines = ["ix/1 part", `fed ${fed}`, `from ${from}`, `case ${reference}`, `part ${id}`, `for ${role}`,
    `subject ${subject}`, ...keys.map((one) => `to ${one.id} ${one.kid}`)];
  return sha256(ascii(lines.map((line) => `${line}\n`).join("")));
}

/** Seals an identity to the role keys of those agencies of `to` that have one; `content` is what it will stand in. */
export async function sealIdentity(bytes, content, { from, to }, directory, now) {
  const { subject, ...it } = parseIdentity(bytes);
  check(!exposes(it, content), "identity_exposed", "CNT-72: the content tells who it is");
  const keys = to.map((id) => [id, directory.roleKey(id, now)]).filter(([, key]) => key);
  check(keys.length > 0, "role_key_missing", "KEY-27: no recipient has a role key that counts");
  const head = { id: lettersOf(randomBytes(16)), for: "protection_officer", subject,
    keys: keys.map(([id, key]) => ({ id, kid: key.kid })) };
  const ctx = context({ fed: directory.fed, from, reference: content.case.reference }, head);
  const [cek, k, salt] = [randomBytes(32), randomBytes(32), randomBytes(24)];
  const wraps = await Promise.all(keys.map(([, key]) => seal.wrapKey(key.pub, cek, ctx)));
  const body = seal.sealBody(seal.layOut(k, bytes), cek, salt, seal.bodyContext(ctx));
  return { ...head, keys: head.keys.map((one, i) => ({ ...one, wrap: b64u(wraps[i]) })), body: b64u(body),
    commit: b64u(seal.commitment(k, ctx, bytes)) };
}

/** 128 bits in 32 letters: digits might stand in a row and look like a number (CNT-16). */
const lettersOf = (bytes) => bytes.toString("hex").replace(/[0-9]/g, (digit) => "ghijklmnop"[digit]);

/** The bytes of the identity in a part. `of`: fed, from, reference; `me`: id, openings of the role key. */
export async function openIdentity(part, of, me) {
  const mine = part.keys.find((one) => one.id === me.id);
  const key = me.openings.find((one) => one.kid === mine?.kid);
  check(key, "role_key_missing", "SAFE-3: sealed to none of these role keys");
  const ctx = context(of, part);
  const cek = await seal.unwrapKey(key.seed, unb64u(mine.wrap), ctx);
  const { k, content } = seal.takeApart(seal.openBody(unb64u(part.body), cek, seal.bodyContext(ctx)));
  const committed = same(seal.commitment(k, ctx, content), unb64u(part.commit));
  check(committed, "commitment_mismatch", "MSG-25: another text than was committed to");
  rule(parseIdentity(content).subject === part.subject, "the identity of somebody else");
  return content;
}

// --- what a content must not tell beside it --------------------------------------------------------------------------

/** NFKC with case folded, as near as JavaScript comes to it. */
const folded = (text) => text.normalize("NFKC").toUpperCase().toLowerCase().replaceAll("\u03c2", "\u03c3");
const wordsOf = (text) => folded(text).match(/\p{L}+/gu) ?? [];
const later = (word) => /[\u0590-\u{10ffff}]/u.test(word);

/** CNT-72. */
function exposes(it, content) {
  const names = namesOf(it).flatMap((name) => [name.family, name.given]).filter(Boolean).flatMap(wordsOf);
  const whole = names.filter((word) => [...word].length >= 3);
  const anywhere = [...names.filter((word) => later(word) && [...word].length >= 2), ...(it.accounts ?? []),
    ...(it.documents ?? []).map((one) => one.number), ...(it.contacts ?? []).map((one) => one.value)];
  const found = [...strings(content, "")].map(([, text]) => text);
  for (const { media_type: type, data } of content.attachments ?? []) {
    if (/^text\/|json$/.test(type)) found.push(unb64u(data).toString("utf8"));
  }
  return found.some((text) => {
    const [words, all] = [wordsOf(text), folded(text)];
    return whole.some((word) => words.includes(word)) || anywhere.some((one) => one && all.includes(folded(one)));
  });
}
