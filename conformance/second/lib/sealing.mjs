// Encryption keys, wraps, body and padding: spec/messages.md, MSG-11 to MSG-16 and MSG-21 to MSG-25.

import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";
import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";
import { x25519 } from "@noble/curves/ed25519.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { ascii, b64u, check, refuse, same } from "./encoding.mjs";
import { kid } from "./signing.mjs";

const SUITE = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const Q = 3329;
const CHUNK = 16384;
const TAG = 16;
const HEAD = 56;

/** KEY-8. */
export function checkEncryptionKey(pub) {
  check(pub.length === 1216, "malformed", "KEY-8: an encryption key of another length");
  for (let i = 0; i < 1152; i += 3) {
    const low = pub[i] | ((pub[i + 1] & 0x0f) << 8);
    const high = (pub[i + 1] >> 4) | (pub[i + 2] << 4);
    check(low < Q && high < Q, "malformed", "KEY-8: fails the modulus check of FIPS 203");
  }
  let zero = false;
  try {
    zero = x25519.getSharedSecret(Buffer.alloc(32, 7), pub.subarray(1184)).every((byte) => byte === 0);
  } catch {
    zero = true;
  }
  check(!zero, "malformed", "KEY-8: an X25519 key of low order");
  return pub;
}

/** KEY-8: what follows from the 32-byte seed. */
export function opening(seed) {
  const expanded = createHash("shake256", { outputLength: 96 }).update(seed).digest();
  const mlkem = ml_kem768.keygen(expanded.subarray(0, 64)).publicKey;
  const pub = Buffer.concat([mlkem, x25519.getPublicKey(expanded.subarray(64))]);
  return { seed, pub, expanded, kid: kid["HPKE-647a-0001-0002"](pub) };
}

const copy = (bytes) => new Uint8Array(bytes).buffer;
export const wrapInfo = (ctx) => Buffer.concat([ascii("ix/1 cek\n"), ctx]);

/** MSG-11. */
export async function wrapKey(pub, cek, ctx) {
  const recipientPublicKey = await SUITE.kem.importKey("raw", copy(pub), true);
  const { enc, ct } = await SUITE.seal({ recipientPublicKey, info: copy(wrapInfo(ctx)) }, copy(cek));
  return Buffer.concat([Buffer.from(enc), Buffer.from(ct)]);
}

/** MSG-21. */
export async function unwrapKey(seed, wrap, ctx) {
  check(wrap.length === 1168, "unsealing_failed", "MSG-21: a wrap of another length");
  let cek;
  try {
    const recipientKey = await SUITE.kem.importKey("raw", copy(seed), false);
    const recipient = { recipientKey, enc: copy(wrap.subarray(0, 1120)), info: copy(wrapInfo(ctx)) };
    cek = Buffer.from(await SUITE.open(recipient, copy(wrap.subarray(1120))));
  } catch {
    refuse("unsealing_failed", "MSG-21: the wrap does not open with this key in this context");
  }
  check(cek.length === 32, "unsealing_failed", "MSG-21: the wrap holds something else than a content key");
  return cek;
}

// --- body ------------------------------------------------------------------------------------------------------------

export const bodyContext = (ctx) => Buffer.concat([ascii("ix/1 body\n"), ctx]);

/** HKDF-Expand (RFC 5869) with SHA-512, written out because Node has only both steps together. */
function expand(key, info, length) {
  let block = Buffer.alloc(0);
  let output = Buffer.alloc(0);
  for (let i = 1; output.length < length; i += 1) {
    block = createHmac("sha512", key).update(block).update(info).update(Buffer.from([i])).digest();
    output = Buffer.concat([output, block]);
  }
  return output.subarray(0, length);
}

function derive(inputKey, salt, context) {
  const label = ascii("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
  const all = expand(inputKey, Buffer.concat([label, salt, context]), 76);
  return { key: all.subarray(0, 32), nonce: all.subarray(32, 44), commitment: all.subarray(44) };
}

function nonceOf(base, number) {
  const nonce = Buffer.from(base);
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8);
  return nonce;
}

/** MSG-14. */
export function sealBody(plaintext, inputKey, salt, context) {
  const { key, nonce, commitment } = derive(inputKey, salt, context);
  const parts = [salt, commitment];
  for (let n = 0; n <= Math.floor(plaintext.length / CHUNK); n += 1) {
    const cipher = createCipheriv("aes-256-gcm", key, nonceOf(nonce, n));
    parts.push(cipher.update(plaintext.subarray(n * CHUNK, (n + 1) * CHUNK)), cipher.final(), cipher.getAuthTag());
  }
  return Buffer.concat(parts);
}

/** MSG-22 and MSG-23: shape, commitment, chunks, in this order; nothing before all of it is authentic. */
export function openBody(body, inputKey, context) {
  const last = (body.length - HEAD) % (CHUNK + TAG);
  check(body.length >= HEAD + TAG && last >= TAG, "body_damaged", "MSG-23: a length that no body has");
  const { key, nonce, commitment } = derive(inputKey, body.subarray(0, 24), context);
  check(same(body.subarray(24, HEAD), commitment), "key_commitment_mismatch", "MSG-22: sealed under another key");
  const parts = [];
  for (let n = 0, at = HEAD; at < body.length; n += 1, at += CHUNK + TAG) {
    const chunk = body.subarray(at, at + CHUNK + TAG);
    const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(nonce, n));
    decipher.setAuthTag(chunk.subarray(-TAG));
    try {
      parts.push(decipher.update(chunk.subarray(0, -TAG)), decipher.final());
    } catch {
      refuse("body_damaged", `MSG-23: chunk ${n} is not authentic`);
    }
  }
  return Buffer.concat(parts);
}

// --- plaintext -------------------------------------------------------------------------------------------------------

/** MSG-13. */
export function padded(length) {
  if (length <= 512) return 512;
  const e = Math.floor(Math.log2(length));
  const s = Math.floor(Math.log2(e)) + 1;
  const step = 2 ** (e - s);
  return Math.ceil(length / step) * step;
}

/** MSG-12. */
export function layOut(k, content) {
  const plaintext = Buffer.alloc(padded(36 + content.length));
  k.copy(plaintext, 0);
  plaintext.writeUInt32BE(content.length, 32);
  content.copy(plaintext, 36);
  return plaintext;
}

/** MSG-24. */
export function takeApart(plaintext) {
  check(plaintext.length >= 512, "padding_invalid", "MSG-24: fewer than 512 bytes");
  const length = plaintext.readUInt32BE(32);
  check(plaintext.length === padded(36 + length), "padding_invalid", "MSG-24: not the padded length");
  check(plaintext.subarray(36 + length).every((byte) => byte === 0), "padding_invalid", "MSG-24: padding not zero");
  return { k: plaintext.subarray(0, 32), content: plaintext.subarray(36, 36 + length) };
}

/** MSG-16. */
export const commitment = (k, ctx, content) =>
  createHmac("sha256", k).update("ix/1 commit\n").update(ctx).update(content).digest();

/** MSG-3, how `by` may be made. */
export const pseudonym = (key, officer) => b64u(createHmac("sha256", key).update(`ix/1 officer\n${officer}`).digest());
