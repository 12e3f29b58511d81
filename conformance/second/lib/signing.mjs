// Key ids, the two algorithms, and statements: spec/keys.md, KEY-1 to KEY-8.

import { createPrivateKey, createPublicKey, sign as nodeSign, verify as nodeVerify } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { DIGEST, ascii, b64u, check, digest, isText, members, parseJson, unb64u } from "./encoding.mjs";

export const PAIR = ["Ed25519", "ML-DSA-44"];
export const LIMIT = 262144;

/** KEY-7. */
export const kid = {
  Ed25519: (pub) => digest(ascii(`{"crv":"Ed25519","kty":"OKP","x":"${b64u(pub)}"}`)),
  "ML-DSA-44": (pub) => digest(ascii(`{"alg":"ML-DSA-44","kty":"AKP","pub":"${b64u(pub)}"}`)),
  "HPKE-647a-0001-0002": (pub) => digest(ascii(`{"alg":"HPKE-647a-0001-0002","kty":"AKP","pub":"${b64u(pub)}"}`)),
};

const P = 2n ** 255n - 19n;

/** KEY-1: 32 bytes, in the one spelling of a point, and not one of the points of low order. */
export function checkEd25519(pub) {
  check(pub.length === 32, "malformed", "KEY-1: an Ed25519 key of another length");
  const y = BigInt(`0x${Buffer.from(pub).reverse().toString("hex")}`) % 2n ** 255n;
  check(y < P, "malformed", "KEY-1: a second spelling of a point");
  let point;
  try {
    point = ed25519.Point.fromBytes(pub, true);
  } catch {
    return pub; // no point at all: shows when a signature is verified, for none does
  }
  check(!point.isSmallOrder(), "malformed", "KEY-1: a point of low order");
  return pub;
}

export function checkMldsa44(pub) {
  check(pub.length === 1312, "malformed", "KEY-2: an ML-DSA-44 key of another length");
  return pub;
}

export function verify(alg, pub, message, signature) {
  try {
    if (alg === "Ed25519") {
      const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: b64u(pub) }, format: "jwk" });
      return signature.length === 64 && nodeVerify(null, message, key, signature);
    }
    return signature.length === 2420 && ml_dsa44.verify(signature, message, pub);
  } catch {
    return false;
  }
}

/** The private half: both seeds, and what follows from them. */
export function signer(edSeed, mlSeed) {
  const edPublic = Buffer.from(ed25519.getPublicKey(edSeed));
  const jwk = { kty: "OKP", crv: "Ed25519", d: b64u(edSeed), x: b64u(edPublic) };
  const edKey = createPrivateKey({ key: jwk, format: "jwk" });
  const ml = ml_dsa44.keygen(mlSeed);
  return {
    publics: [edPublic, Buffer.from(ml.publicKey)],
    kids: [kid.Ed25519(edPublic), kid["ML-DSA-44"](ml.publicKey)],
    sign: [(message) => nodeSign(null, message, edKey), (message) => ml_dsa44.sign(message, ml.secretKey)],
  };
}

// --- statements ------------------------------------------------------------------------------------------------------

/** The signature objects of a statement or an envelope: their headers read, in pairs. KEY-3, KEY-6. */
function readSignatures(signatures) {
  const { length } = signatures;
  check(length > 0 && length <= 128 && length % 2 === 0, "wrong_algorithm", "KEY-3: no number of pairs from 1 to 64");
  const read = signatures.map((signature) => {
    members(signature, ["protected", "signature"], "malformed", "KEY-6: a signature");
    const texts = typeof signature.protected === "string" && typeof signature.signature === "string";
    check(texts, "malformed", "KEY-6: a header or signature that is no string");
    check(signature.protected.length <= 512, "too_large", "ENC-7: a header too long");
    const header = parseJson(unb64u(signature.protected), 512);
    members(header, ["alg", "kid", "typ"], "malformed", "KEY-6: a header");
    const good = Object.values(header).every((value) => isText(value, /^[A-Za-z0-9+._-]{0,64}$/));
    check(good, "malformed", "KEY-6: alg, kid or typ in another form");
    return { ...header, protected: signature.protected, signature: unb64u(signature.signature) };
  });
  check(read.every(({ alg }, i) => alg === PAIR[i % 2]), "wrong_algorithm", "KEY-3: not exactly Ed25519 then ML-DSA-44");
  const pairs = [];
  for (let i = 0; i < read.length; i += 2) pairs.push([read[i], read[i + 1]]);
  return pairs;
}

/** A statement, as a parsed value, taken apart; nothing is verified yet. */
export function readStatement(value, limit = LIMIT) {
  members(value, ["payload", "signatures"], "malformed", "KEY-6: a statement");
  return readSigned(value.payload, value.signatures, limit);
}

/** The two members of a statement, also where they stand in an envelope or parcel. KEY-6, in its order. */
export function readSigned(encoded, signatures, limit = LIMIT) {
  const shape = typeof encoded === "string" && Array.isArray(signatures);
  check(shape, "malformed", "KEY-6: a payload that is no string, or no list of signatures");
  const pairs = readSignatures(signatures);
  const payload = unb64u(encoded);
  check(payload.length <= limit, "too_large", `ENC-7: a payload of more than ${limit} bytes`);
  return { payload, encoded, pairs, digest: digest(payload) };
}

export const parseStatement = (bytes, limit) => readStatement(parseJson(bytes, LIMIT), limit);

/** KEY-4, KEY-5: each signature in turn, its typ, its key, itself. `keyOf(kid, i)` gives the key or refuses. */
export function verifyPair(pair, encoded, typ, keyOf) {
  pair.forEach((one, i) => {
    check(one.typ === typ, "wrong_typ", `KEY-5: not signed as ${typ}`);
    const good = verify(PAIR[i], keyOf(one.kid, i), ascii(`${one.protected}.${encoded}`), one.signature);
    check(good, "signature_invalid", "KEY-4: a signature does not verify");
  });
}

export function signPair(payload, typ, by) {
  const encoded = b64u(payload);
  const headers = PAIR.map((alg, i) => b64u(ascii(`{"alg":"${alg}","kid":"${by.kids[i]}","typ":"${typ}"}`)));
  return headers.map((header, i) => ({
    protected: header,
    signature: b64u(by.sign[i](ascii(`${header}.${encoded}`))),
  }));
}

export const isDigest = (value) => isText(value, DIGEST);
