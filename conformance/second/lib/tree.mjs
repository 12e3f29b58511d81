// The tiles and bundles of a log in files, held against its signed root: spec/log.md, LOG-11 to LOG-14, LOG-51.

import { Refusal, b64u } from "./encoding.mjs";
import { leafHash, readBundle, tilePath, tilesOf, treeRoot } from "./log.mjs";

/** The leaf hashes, and each entry with its index; what is wrong goes to `find(code, index, sentence)`. */
export function readTree(file, head, find) {
  const leaves = tiles(file, head, find);
  return leaves && { leaves, entries: bundles(file, head, find, leaves) };
}

/** Level by level: each full tile hashes to its place in the level above; what is left over leads to the root. */
function tiles(file, { size, root }, find) {
  const levels = [];
  let good = true;
  const bad = (code, sentence) => {
    good = false;
    find(code, null, sentence);
  };
  for (let level = 0; level === 0 || size >= 256 ** level; level += 1) {
    const hashes = [];
    for (const [n, width] of tilesOf(size, level)) {
      const name = tilePath(level, n, width);
      const bytes = file(name);
      if (!bytes) return bad("file_missing", name);
      if (bytes.length !== 32 * width) return bad("tile_altered", name);
      for (let at = 0; at < bytes.length; at += 32) hashes.push(bytes.subarray(at, at + 32));
    }
    levels.push(hashes);
  }
  if (!rootOf(levels).equals(root)) return bad("root_differs", "the tiles do not lead to the signed root");
  for (const [level, hashes] of levels.slice(0, -1).entries()) {
    levels[level + 1].forEach((above, n) => {
      const full = treeRoot(hashes.slice(256 * n, 256 * n + 256));
      if (!full.equals(above)) bad("tile_altered", tilePath(level, n));
    });
  }
  return good ? levels[0] : undefined;
}

/** The root from the right edge: the top level whole, and of each level below the part not hashed into a full tile. */
function rootOf(levels) {
  const over = (level) => levels[level].slice(256 * Math.floor(levels[level].length / 256));
  let carry;
  for (let level = 0; level < levels.length; level += 1) {
    const rest = level === levels.length - 1 ? levels[level] : over(level);
    carry = carry ? treeRootOver(rest, carry) : rest.length > 0 ? treeRoot(rest) : undefined;
  }
  return carry ?? treeRoot([]);
}

/** The root of complete subtrees `hashes`, all of one height, with a narrower tree of root `carry` behind them. */
function treeRootOver(hashes, carry) {
  return hashes.length === 0 ? carry : treeRoot([...hashes, carry]);
}

function bundles(file, { size }, find, leaves) {
  const entries = [];
  for (const [n, width] of tilesOf(size, 0)) {
    const name = tilePath("entries", n, width);
    const bytes = file(name);
    if (!bytes) find("file_missing", null, name);
    else taken(bytes, width, find).forEach((entry, i) => entries.push({ index: 256 * n + i, bytes: entry }));
  }
  for (const { index, bytes } of entries) {
    const [ours, signed] = [leafHash(bytes), leaves[index]];
    if (!ours.equals(signed)) find("entry_altered", index, `signed ${b64u(signed)}, found ${b64u(ours)}`);
  }
  return entries;
}

function taken(bytes, width, find) {
  try {
    return readBundle(bytes, width);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    find("bundle_refused", null, error.message);
    return [];
  }
}
