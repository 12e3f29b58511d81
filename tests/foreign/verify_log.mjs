// Holds a log proof of ix against verifiers that others wrote. For tests only.
//
// @sigstore/verify checks the checkpoint's Ed25519 line and the inclusion proof, with the very code that checks
// Rekor's; @noble/post-quantum checks the ML-DSA-44 line. What is ours here is only the taking apart of a
// tlog-proof and the bytes that tlog-cosignature says are signed.
//
// Reads {"modules", "vkeys": [Ed25519, ML-DSA-44], "proof", "entry"} on standard input, binary in base64.
// Writes what was verified as JSON; exits 1 with one line on standard error if anything was not.
//
// With {"flips": [[place, bit], ...], "of": "proof" or "entry"} it verifies once more for each with that one bit of that byte
// changed, and writes {"tried", "missed": [[place, bit], ...]}.

import { createHash, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const given = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(join(given.modules, "anchor.js"));
const sigstore = (part) => require(join(given.modules, "@sigstore", "verify", "dist", "tlog", part));
const { verifyCheckpoint } = sigstore("checkpoint.js");
const { verifyMerkleInclusion } = sigstore("merkle.js");
const noble = pathToFileURL(join(given.modules, "@noble", "post-quantum", "ml-dsa.js"));
const { ml_dsa44 } = await import(noble.href);

try {
  process.stdout.write(JSON.stringify(given.flips ? sweep(given) : verify(given)));
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function verify({ vkeys, proof, entry }) {
  const [ed25519, mldsa44] = vkeys.map(parseVkey);
  const { index, hashes, checkpoint } = parseProof(proof);
  const logged = {
    canonicalizedBody: Buffer.from(entry, "base64"),
    inclusionProof: { logIndex: index, hashes, checkpoint: { envelope: checkpoint } },
  };
  const log = { logID: ed25519.keyId, baseURL: `https://${ed25519.name}`, publicKey: spki(ed25519.key) };
  const head = verifyCheckpoint(logged, [log]);
  verifyMerkleInclusion(logged, head);
  const time = verifyCosignature(checkpoint, mldsa44, head);
  return {
    origin: head.origin, index, size: Number(head.logSize), root: head.logHash.toString("base64"), time,
  };
}

function sweep(whole) {
  verify(whole);
  const missed = [];
  for (const [place, bit] of whole.flips) {
    const data = whole.of === "proof" ? Buffer.from(whole.proof) : Buffer.from(whole.entry, "base64");
    data[place] ^= 1 << bit;
    const changed = whole.of === "proof" ? { proof: data.toString("utf8") } : { entry: data.toString("base64") };
    try {
      verify({ ...whole, ...changed });
      missed.push([place, bit]);
    } catch {
      // found
    }
  }
  return { tried: whole.flips.length, missed };
}

function parseVkey(text) {
  const [name, keyId, encoded] = [text.split("+", 1)[0], text.split("+", 2)[1], text.split("+").slice(2).join("+")];
  const raw = Buffer.from(encoded, "base64");
  const expected = createHash("sha256").update(`${name}\n`).update(raw).digest().subarray(0, 4);
  if (keyId !== expected.toString("hex")) throw new Error("the verifier key's id is not its hash");
  return { name, keyId: expected, type: raw[0], key: raw.subarray(1) };
}

function spki(raw) {
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

function parseProof(text) {
  const blank = text.indexOf("\n\n");
  const [header, index, ...hashes] = text.slice(0, blank).split("\n");
  if (header !== "c2sp.org/tlog-proof@v1" || !index.startsWith("index ")) throw new Error("no tlog-proof");
  return {
    index: Number(index.slice(6)),
    hashes: hashes.map((line) => Buffer.from(line, "base64")),
    checkpoint: text.slice(blank + 2),
  };
}

// C2SP tlog-cosignature: timestamp, then the signature over a cosigned_message.
function verifyCosignature(checkpoint, { name, keyId, key }, head) {
  for (const line of checkpoint.split("\n").filter((one) => one.startsWith(`\u2014 ${name} `))) {
    const raw = Buffer.from(line.split(" ")[2], "base64");
    if (!raw.subarray(0, 4).equals(keyId)) continue;
    const named = Buffer.concat([Buffer.from([Buffer.byteLength(name)]), Buffer.from(name)]);
    const sizes = Buffer.alloc(16);
    sizes.writeBigUInt64BE(head.logSize, 8);
    const timestamp = raw.subarray(4, 12);
    const signed = Buffer.concat([Buffer.from("subtree/v1\n\0"), named, timestamp, named, sizes, head.logHash]);
    if (ml_dsa44.verify(raw.subarray(12), signed, key)) return Number(timestamp.readBigUInt64BE());
  }
  throw new Error("no ML-DSA-44 line of the log verifies");
}
