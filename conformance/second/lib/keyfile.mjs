// Private keys at rest: spec/keys.md, KEY-30 to KEY-33. Reading only; this implementation writes no keys.

import { createDecipheriv, scryptSync } from "node:crypto";
import { lstatSync, readFileSync } from "node:fs";
import { Refusal, ascii, check, isCount, isList, isText, members, parseJson, refuse, unb64u } from "./encoding.mjs";
import { signer } from "./signing.mjs";
import { opening } from "./sealing.mjs";

const LIMIT = 1048576;
const good = (condition, sentence) => check(condition, "keystore_refused", `KEY-30: ${sentence}`);
const form = (value, names) => members(value, names, "keystore_refused", "KEY-31: a key file");

/** An agency's keys: its id, signer, openings (the current one first) and pseudonym key. */
export function readIdentity(path, passphrase) {
  try {
    const { label, plaintext } = unlock(path, passphrase, "identity");
    const it = form(parseJson(plaintext, LIMIT), ["signing", "openings", "transport", "pseudonym"]);
    form(it.signing, ["ed25519", "mldsa44"]);
    good(isList(it.openings, 1, Infinity), "no encryption key");
    return {
      id: label, signer: signer(unb64u(it.signing.ed25519), unb64u(it.signing.mldsa44)),
      openings: it.openings.map((seed) => opening(unb64u(seed))), pseudonym: unb64u(it.pseudonym),
    };
  } catch (error) {
    if (error instanceof Refusal) refuse("keystore_refused", error.message);
    throw error;
  }
}

function unlock(path, passphrase, kind) {
  const stat = lstatSync(path);
  good(stat.isFile() && (stat.mode & 0o077) === 0 && stat.size <= LIMIT, "no regular file for its owner alone");
  const file = form(parseJson(readFileSync(path), LIMIT), ["header", "sealed"]);
  const header = form(parseJson(unb64u(file.header), LIMIT), ["v", "typ", "kind", "label", "kdf", "cipher"]);
  good(header.v === "ix/1" && header.typ === "keystore" && header.kind === kind, "not the kind asked for");
  good(typeof header.label === "string", "no label");
  const { name, n, r, p, salt } = form(header.kdf, ["name", "n", "r", "p", "salt"]);
  const cost = isCount(n, 2 ** 15, 2 ** 20) && Number.isInteger(Math.log2(n));
  good(name === "scrypt" && cost && r === 8 && p === 1, "KEY-32: other parameters");
  form(header.cipher, ["name", "nonce"]);
  const [sealed, nonce] = [unb64u(file.sealed), unb64u(header.cipher.nonce)];
  good(header.cipher.name === "AES-256-GCM" && nonce.length === 12 && sealed.length >= 16, "KEY-33: another cipher");
  good(isText(passphrase, /./s) && unb64u(salt).length === 16, "an empty passphrase, or a short salt");
  const options = { N: n, r, p, maxmem: 256 * n * r };
  const key = scryptSync(Buffer.from(passphrase.normalize("NFC")), unb64u(salt), 32, options);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAAD(ascii(file.header));
  decipher.setAuthTag(sealed.subarray(-16));
  try {
    return { label: header.label, plaintext: Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]) };
  } catch {
    return refuse("keystore_refused", "KEY-30: wrong passphrase, or an altered file");
  }
}
