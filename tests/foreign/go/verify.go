// Holds an exported ix log against Go's own transparency log library (golang.org/x/mod/sumdb). For tests only.
//
// note checks the checkpoint's Ed25519 line; tlog checks every tile against the signed root, every entry against
// its tile, and consistency proofs. What is ours here is only where files are and how a bundle is cut.
//
//	verify log DIR|URL VKEY        verify the whole export, from a folder or from a web server that shows it
//	verify sweep DIR VKEY          the same for every single-byte change of every tile and bundle; one JSON line
//	verify grown DIR VKEY OLD ROOT HASH...   verify a consistency proof from an older size to the export's
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type export map[string][]byte

type head struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"`
	hash   tlog.Hash
}

func main() {
	said, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(said)
}

func run(args []string) (interface{}, error) {
	if len(args) < 3 {
		return nil, errors.New("verify log|sweep|grown DIR VKEY ...")
	}
	files, err := load(args[1])
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(args[2])
	if err != nil {
		return nil, err
	}
	switch args[0] {
	case "log":
		return verify(files, verifier)
	case "sweep":
		return sweep(files, verifier)
	case "grown":
		return grown(files, verifier, args[3:])
	}
	return nil, errors.New("no such verb")
}

func load(dir string) (export, error) {
	files := export{}
	if strings.HasPrefix(dir, "http://") {
		return files, files.fetch(dir)
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = data
		return err
	})
	return files, err
}

// fetch gets the checkpoint, and then what it requires.
func (files export) fetch(prefix string) error {
	get := func(path string) error {
		answer, err := http.Get(prefix + "/" + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != 200 {
			return fmt.Errorf("%s: %s", path, answer.Status)
		}
		files[path], err = io.ReadAll(answer.Body)
		return err
	}
	if err := get("checkpoint"); err != nil {
		return err
	}
	size, err := strconv.ParseInt(strings.Split(string(files["checkpoint"])+"\n\n", "\n")[1], 10, 64)
	if err != nil {
		return err
	}
	for level, n := 0, size; n > 0; level, n = level+1, n/256 {
		for i := int64(0); i < n; i += 256 {
			width := n - i
			if width > 256 {
				width = 256
			}
			if err := get(tilePath(fmt.Sprint(level), i/256, int(width))); err != nil {
				return err
			}
			if level == 0 {
				if err := get(tilePath("entries", i/256, int(width))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func open(files export, verifier note.Verifier) (head, error) {
	signed, err := note.Open(files["checkpoint"], note.VerifierList(verifier))
	if err != nil {
		return head{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return head{}, errors.New("the checkpoint's text is not of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return head{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return head{lines[0], size, lines[2], hash}, err
}

// ReadTiles and SaveTiles make an export a tlog.TileReader; tiles of 256 hashes, as tlog-tiles has them.
func (files export) Height() int { return 8 }

func (files export) SaveTiles([]tlog.Tile, [][]byte) {}

func (files export) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, ok := files[tilePath(fmt.Sprint(tile.L), tile.N, tile.W)]
		if !ok {
			return nil, fmt.Errorf("no tile %s", tile.Path())
		}
		found = append(found, data)
	}
	return found, nil
}

func tilePath(level string, n int64, width int) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	if width < 256 {
		name += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + name
}

func verify(files export, verifier note.Verifier) (head, error) {
	top, err := open(files, verifier)
	if err != nil {
		return head{}, err
	}
	tree := tlog.Tree{N: top.Size, Hash: top.hash}
	reader := tlog.TileHashReader(tree, files)
	if again, err := tlog.TreeHash(top.Size, reader); err != nil || again != top.hash {
		return head{}, fmt.Errorf("the tiles do not lead to the signed root: %v", err)
	}
	for first := int64(0); first < top.Size; first += 256 {
		width := top.Size - first
		if width > 256 {
			width = 256
		}
		entries, err := bundle(files[tilePath("entries", first/256, int(width))], int(width))
		if err != nil {
			return head{}, err
		}
		var places []int64
		for i := range entries {
			places = append(places, tlog.StoredHashIndex(0, first+int64(i)))
		}
		leaves, err := reader.ReadHashes(places)
		if err != nil {
			return head{}, err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != leaves[i] {
				return head{}, fmt.Errorf("entry %d is not the one in its tile", first+int64(i))
			}
		}
	}
	return top, everyTile(files, top, reader)
}

// everyTile reads each tile whole, so that hashes no proof happened to need are verified too.
func everyTile(files export, top head, reader tlog.HashReader) error {
	for level, n := 0, top.Size; n > 0; level, n = level+1, n/256 {
		for i := int64(0); i < n; i += 256 {
			width := n - i
			if width > 256 {
				width = 256
			}
			var places []int64
			for j := int64(0); j < width; j++ {
				places = append(places, tlog.StoredHashIndex(8*level, i+j))
			}
			hashes, err := reader.ReadHashes(places)
			if err != nil {
				return err
			}
			var data []byte
			for _, hash := range hashes {
				data = append(data, hash[:]...)
			}
			path := tilePath(fmt.Sprint(level), i/256, int(width))
			if string(data) != string(files[path]) {
				return fmt.Errorf("the tile %s is not as long as it must be", path)
			}
		}
	}
	return nil
}

func bundle(data []byte, width int) ([][]byte, error) {
	var entries [][]byte
	for len(data) >= 2 && len(entries) < width {
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			break
		}
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	if len(data) > 0 || len(entries) != width {
		return nil, errors.New("a bundle does not hold whole entries")
	}
	return entries, nil
}

type swept struct {
	Files    int      `json:"files"`
	Bytes    int      `json:"bytes"`
	Detected int      `json:"detected"`
	Missed   []string `json:"missed"`
}

func sweep(files export, verifier note.Verifier) (swept, error) {
	found := swept{Missed: []string{}}
	if _, err := verify(files, verifier); err != nil {
		return found, fmt.Errorf("the log is not clean to begin with: %v", err)
	}
	for path, data := range files {
		if !strings.HasPrefix(path, "tile/") {
			continue
		}
		found.Files++
		for i := range data {
			found.Bytes++
			data[i] ^= 1
			if _, err := verify(files, verifier); err != nil {
				found.Detected++
			} else {
				found.Missed = append(found.Missed, fmt.Sprintf("%s:%d", path, i))
			}
			data[i] ^= 1
		}
	}
	return found, nil
}

func grown(files export, verifier note.Verifier, args []string) (head, error) {
	top, err := open(files, verifier)
	if err != nil || len(args) < 2 {
		return head{}, fmt.Errorf("nothing to compare: %v", err)
	}
	size, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return head{}, err
	}
	root, err := tlog.ParseHash(args[1])
	if err != nil {
		return head{}, err
	}
	var proof tlog.TreeProof
	for _, text := range args[2:] {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != tlog.HashSize {
			return head{}, errors.New("a proof is of hashes")
		}
		var hash tlog.Hash
		copy(hash[:], raw)
		proof = append(proof, hash)
	}
	return top, tlog.CheckTree(proof, top.Size, top.hash, size, root)
}
