// Private keys at rest: spec/keys.md, KEY-30 to KEY-33, KEY-39, KEY-40. Reading only; this implementation writes no keys.

import { createDecipheriv, scryptSync } from "node:crypto";
import { lstatSync, readFileSync } from "node:fs";
import { Refusal, check, isCount, isList, isText, members, parseJson, refuse, unb64u } from "./encoding.mjs";
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

/** KEY-39, KEY-40: an agency's id and role keys for protected identities, opened by one officer's own passphrase. */
export function readRoleKeys(path, officer, passphrase) {
  try {
    const file = form(readFile(path), ["v", "typ", "kind", "label", "locks", "sealed"]);
    good(file.v === "ix/1" && file.typ === "keystore" && file.kind === "protection", "not the kind asked for");
    good(typeof file.label === "string" && isList(file.locks, 1, 32), "no label or locks");
    for (const lock of file.locks) form(lock, ["officer", "n", "salt", "sealed"]);
    good(new Set(file.locks.map((lock) => lock.officer)).size === file.locks.length, "two locks of one officer");
    const lines = ["ix/1 role key", "protection", file.label];
    const lock = file.locks.find((one) => one.officer === officer);
    const { n, salt, sealed } = lock ?? file.locks[0]; // KEY-40: the same work for a stranger
    const key = derive(passphrase, n, 8, 1, unb64u(salt));
    const fileKey = decrypt(key, unb64u(sealed), [...lines, officer].join("\n"));
    const seeds = parseJson(decrypt(fileKey, unb64u(file.sealed), lines.join("\n")), LIMIT);
    good(isList(seeds, 1, Infinity), "no key");
    return { id: file.label, openings: seeds.map((seed) => opening(unb64u(seed))) };
  } catch (error) {
    if (error instanceof Refusal) refuse("keystore_refused", error.message);
    throw error;
  }
}

function readFile(path) {
  const stat = lstatSync(path);
  good(stat.isFile() && (stat.mode & 0o077) === 0 && stat.size <= LIMIT, "no regular file for its owner alone");
  return parseJson(readFileSync(path), LIMIT);
}

function unlock(path, passphrase, kind) {
  const file = form(readFile(path), ["header", "sealed"]);
  const header = form(parseJson(unb64u(file.header), LIMIT), ["v", "typ", "kind", "label", "kdf", "cipher"]);
  good(header.v === "ix/1" && header.typ === "keystore" && header.kind === kind, "not the kind asked for");
  good(typeof header.label === "string", "no label");
  const { name, n, r, p, salt } = form(header.kdf, ["name", "n", "r", "p", "salt"]);
  form(header.cipher, ["name", "nonce"]);
  good(name === "scrypt" && header.cipher.name === "AES-256-GCM", "KEY-32, KEY-33: another algorithm");
  good(unb64u(salt).length === 16, "KEY-32: a salt of another length");
  const nonce = unb64u(header.cipher.nonce);
  good(nonce.length === 12, "KEY-33: a nonce of another length");
  const key = derive(passphrase, n, r, p, unb64u(salt));
  const plaintext = decrypt(key, Buffer.concat([nonce, unb64u(file.sealed)]), file.header);
  return { label: header.label, plaintext };
}

/** KEY-32. */
function derive(passphrase, n, r, p, salt) {
  const cost = isCount(n, 2 ** 15, 2 ** 20) && Number.isInteger(Math.log2(n));
  good(cost && r === 8 && p === 1, "KEY-32: other parameters");
  good(isText(passphrase, /./s) && salt.length >= 16, "an empty passphrase, or a short salt");
  return scryptSync(Buffer.from(passphrase.normalize("NFC")), salt, 32, { N: n, r, p, maxmem: 256 * n * r });
}

/** KEY-33: nonce, ciphertext and tag. */
function decrypt(key, sealed, associated) {
  good(sealed.length >= 28, "KEY-33: too short");
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
  decipher.setAAD(Buffer.from(associated));
  decipher.setAuthTag(sealed.subarray(-16));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
  } catch {
    return refuse("keystore_refused", "KEY-30: wrong passphrase, or an altered file");
  }
}
