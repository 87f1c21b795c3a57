// Package static serves files that are part of the program.
//
// A file does not change while the program runs, so its ETag is made once, and a client that has the file gets 304:
//
//	New or Of ─▶ Files, packed where that helps ─▶ Serve ─ the client has this ETag ─▶ 304
//	                                                 ├ accepts gzip ─▶ the packed form
//	                                                 └ does not ─────▶ the plain form, or the packed one unpacked for it
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Files are files by their names without folders. They do not change, and are safe for concurrent use.
type Files map[string]file

// file is one file. forms returns the content in the form in which it is sent, not compressed or compressed with gzip; the other is nil.
//
// Only one form is in memory: a client that does not accept gzip gets a packed file unpacked for it, and a file that gzip does not make
// smaller is sent without compression. Each file is compressed when it is first requested: compressing all files took most of the time of
// a start.
type file struct {
	contentType string
	etag        string // weak, because it is the same for both forms
	forms       func() (plain, packed []byte)
}

// New returns all files of a file system, at any depth. The content of a file whose name ends in ".gz" is that of the file without
// this end, compressed with gzip. Other files are compressed for the first client if that makes them at least a tenth smaller. Two files with the
// same name are an error. The content is kept, and must not change.
func New(from fs.FS) (Files, error) {
	files := make(Files)
	err := fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		base, isPacked := strings.CutSuffix(path.Base(name), ".gz")
		if _, again := files[base]; again {
			return fmt.Errorf("%s: there is another file with this name", name)
		}
		files[base] = newFile(base, content, isPacked)
		return nil
	})
	return files, err
}

// Of returns Files with one file. It keeps content, which must not change.
func Of(name string, content []byte) Files { return Files{name: newFile(name, content, false)} }

// newFile returns a file. isPacked is whether content is compressed with gzip.
func newFile(name string, content []byte, isPacked bool) file {
	// Eight bytes are enough to distinguish the versions of one file.
	sum := sha256.Sum256(content)
	return file{contentType(name), `W/"` + hex.EncodeToString(sum[:8]) + `"`, sync.OnceValues(func() (plain, packed []byte) {
		if isPacked {
			return nil, content
		}
		if packed = pack(content); len(packed) >= len(content)*9/10 {
			return content, nil
		}
		return nil, packed
	})}
}

// pack compresses with gzip.
func pack(content []byte) []byte {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is valid
	}
	_, _ = w.Write(content) // a buffer takes everything
	_ = w.Close()
	return packed.Bytes()
}

// contentType returns the media type of a file by its name. Texts are UTF-8, which the libraries of others need too. The types of
// package mime can depend on the system, so those that must not are here.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case "": // such as LICENSE
		return "text/plain; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// Serve answers a GET or HEAD request with the file of that name, and with 304 if the client has it. It returns false, and has
// written nothing, if there is no such file. It sets no Cache-Control: the caller decides whether clients keep the file.
func (f Files) Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	file, ok := f[name]
	if !ok {
		return false
	}
	// A 304 has the same ETag and Vary as the answer with the file, as RFC 9110 requires.
	h := w.Header()
	h.Set("ETag", file.etag)
	plain, packed := file.forms()
	if packed != nil {
		h.Add("Vary", "Accept-Encoding")
	}
	// The header can be a list. An ETag with its quotation marks is part of no other one. "*" matches all ETags (RFC 9110, section 13.1.2).
	if known := strings.Join(r.Header.Values("If-None-Match"), ","); strings.TrimSpace(known) == "*" || strings.Contains(known, file.etag) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	h.Set("Content-Type", file.contentType)
	body := plain
	switch {
	case packed != nil && AcceptsGzip(r.Header):
		h.Set("Content-Encoding", "gzip")
		body = packed
	case packed != nil:
		body = unpack(packed)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
	return true
}

// unpack is the opposite of pack. Few clients do not accept gzip, so the result is not kept. A file that cannot be unpacked is a
// mistake of the build.
func unpack(packed []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err) // the file is in the program, and a test reads it
	}
	content, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return content
}

// AcceptsGzip reports whether a request with these headers accepts an answer in gzip (RFC 9110, section 12.5.3). The coding must be
// named: "*" is not enough. For example, "gzip, br" and "gzip;q=0.5" accept it, and "gzip;q=0", "br" and "*" do not.
func AcceptsGzip(h http.Header) bool {
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, weighted := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			value, err := strconv.ParseFloat(q, 64)
			return !weighted || err == nil && value > 0
		}
	}
	return false
}
