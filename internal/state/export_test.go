package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Frozen returns o for a store whose background writer never runs.
func Frozen(o Options) Options {
	o.frozen = true
	return o
}

// WithTicks returns o for a store that counts its age with that clock, so that Now can jump.
func WithTicks(o Options, ticks func() time.Time) Options {
	o.ticks = ticks
	return o
}

// WithMaxExpired returns o for a store that keeps that many records of expired buckets.
func WithMaxExpired(o Options, most int) Options {
	o.maxExpired = most
	return o
}

// WithCompaction returns o for a store that compacts its database when that many bytes are free.
func WithCompaction(o Options, free int64) Options {
	o.compactFree = free
	return o
}

// WithWindow returns o for a store whose replay collects changes of that many bytes.
func WithWindow(o Options, n int) Options {
	o.window = n
	return o
}

// Window returns how many bytes of the log a replay of the store collects.
func (s *Store) Window() int { return s.window() }

// WindowOf gives tests windowOf.
var WindowOf = windowOf

// LogFile is a file of the log that is written.
type LogFile = logFile

// WithFiles returns o for a store that opens the files of its log with open.
func WithFiles(o Options, open func(path string) (LogFile, error)) Options {
	o.openFile = open
	return o
}

// OpenLogFile opens a file of the log as a store does.
var OpenLogFile = openLogFile

// FinalsFile is the name of the database.
const FinalsFile = finalsFile

// FinalSize returns the length of the value of a final bucket in the database.
func FinalSize(b Bucket) int { return len(appendFinal(nil, b, nil, 1, 0)) }

// DecodeLog decodes bytes as a file of the log as far as it can, and returns the number of commits and of records.
func DecodeLog(b []byte) (commits, all int) {
	r := newCommitReader(bytes.NewReader(b), int64(len(b)), 0, nil, nil)
	var blocks rowBlocks
	for {
		_, payload, ok := r.read()
		if !ok {
			return commits, all
		}
		commits++
		all += decodePayload(payload, &blocks)
	}
}

// ReadBytes is how much of a file of the log is in memory at a time.
const ReadBytes = readBytes

// AppendLog appends the frames of a commit, with a file header if dst is empty.
func AppendLog(dst []byte, commit uint64, payload []byte) []byte {
	if len(dst) == 0 {
		dst = append(dst, logMagic...)
	}
	return appendCommit(dst, commit, payload)
}

// ReadLog reads a file of the log that had that size when it was opened. It returns the payloads of its commits, and how many bytes are
// damaged before the last one and after.
func ReadLog(file io.Reader, size int) (payloads [][]byte, damaged, torn int, err error) {
	r := newCommitReader(file, int64(size), 0, nil, nil)
	for {
		_, payload, ok := r.read()
		if !ok {
			return payloads, r.damaged, r.damage, r.err
		}
		payloads = append(payloads, bytes.Clone(payload))
	}
}

// DecodePayload decodes bytes as the payload of a commit, and returns the number of records.
func DecodePayload(b []byte) int { return decodePayload(b, new(rowBlocks)) }

func decodePayload(b []byte, blocks *rowBlocks) (n int) {
	p := replay{schemas: map[uint64]int32{}, lists: map[string]int32{}}
	_ = records(b, func(_ int, kind byte, d *decoder, _ int) error {
		n++
		number := d.uvarint()
		switch kind {
		case recordSchema:
			p.schemas[number] = p.list(d)
			return d.err // as replay.record
		case recordOpen, recordName:
			d.bucket("", 0)
		case recordRows:
			if i := p.rowFields(d); d.err == nil {
				width := len(p.fields[i])
				n, timed := d.rowsHead(width)
				blocks.make([]int{n}, width, timed)
				d.rows(blocks, 0, n, width)
			}
		case recordFinal:
			d.final(number)
		case recordAgain:
			d.again()
		}
		return nil
	})
	return n
}

// DecodeExpired decodes bytes as a record of expired buckets, and returns how many spans it has.
func DecodeExpired(key, value []byte) (int, error) {
	_, r, err := decodeExpired(key, value)
	if err != nil && !errors.Is(err, errFormat) {
		panic(err)
	}
	return len(r.spans), err
}

// ContinueExpired decodes bytes as a record of expired buckets whose checksum is right, adds a bucket, and encodes and decodes the result. ok is
// false if the bytes are damaged. has is whether the result has the bucket and its field, and lost whether it lacks a bucket or a field of the
// record.
func ContinueExpired(body []byte, start, end int64) (ok, has, lost bool) {
	key := expiredKeyOf("m")
	value := append(make([]byte, 4), body...)
	binary.LittleEndian.PutUint32(value, checksum(append([]byte(key), body...)))
	_, before, err := decodeExpired([]byte(key), value)
	for i, s := range before.spans { // whose order decodeExpired does not check
		if s.end <= s.start || i > 0 && s.start <= before.spans[i-1].end {
			return false, false, false
		}
	}
	if err != nil {
		return false, false, false
	}
	record := removed{revision: before.revision, spans: slices.Clone(before.spans), eras: slices.Clone(before.eras)}
	record.add(removedBuckets(span{start, end}, 0, fieldSet{checksum([]byte("a"))}))
	record.spans = record.spans.limit(maxSpans)
	_, after, err := decodeExpired([]byte(key), encodeExpired(key, 1, record))
	if err != nil {
		panic(err)
	}
	fields, has := after.at(start)
	for _, s := range before.spans {
		had, _ := before.at(s.start)
		got, there := after.at(s.start)
		lost = lost || !there || had != nil && !had.with(got).equal(got)
	}
	return true, has && fields.has("a"), lost
}

// DecodeFinal decodes bytes as a value of the database.
func DecodeFinal(key, value []byte) (Bucket, error) {
	b, err := decodeFinal(key, value, 0)
	if err != nil && !errors.Is(err, errFormat) {
		panic(err)
	}
	return b.Bucket, err
}

// WriteIdentity writes the options of a store to a folder.
func WriteIdentity(t testing.TB, folder string, identity map[string]string) {
	if err := writeChecked(filepath.Join(folder, identityFile), string(formatIdentity(identity))); err != nil {
		t.Fatal(err)
	}
}

// ExpiresUntil returns the end of the span that stays in the record of a final bucket with that value when the bucket is removed.
func ExpiresUntil(series string, start int64, value []byte) int64 {
	_, r := expiredOf(finalKey(series, start), value)
	return r.spans[0].end
}

// ExpireWithoutFields makes buckets of a series expired, in a record of a version of this program that did not write their fields.
func (s *Store) ExpireWithoutFields(series string, start, end int64) error {
	return s.finals.expire(expired{expiredKeyOf(series): removedBuckets(span{start, end}, 0, nil)}, "", s.clock.time())
}

// Removed are removed buckets of a series with the same fields. Without Fields, these are not known.
type Removed struct {
	Start, End int64
	Fields     []string
}

// add adds the buckets to a record, and encodes and decodes it. It returns the encoded one.
func (b Removed) add(record *removed) (value []byte, err error) {
	var set fieldSet
	if len(b.Fields) > 0 {
		sums := make([]uint32, len(b.Fields))
		for i, name := range b.Fields {
			sums[i] = checksum([]byte(name))
		}
		set = newFieldSet(sums)
	}
	record.add(removedBuckets(span{b.Start, b.End}, 0, set))
	key := expiredKeyOf("m")
	value = encodeExpired(key, 1, *record)
	_, *record, err = decodeExpired([]byte(key), value)
	return value, err
}

// SpansOfChangingFields adds n removed buckets with gaps between them to a record, in their order, each with one of two sets of fields, and
// returns how many spans the record has.
func SpansOfChangingFields(n int) int {
	var record removed
	sets := []fieldSet{{1, 2}, {1}}
	for i := range int64(n) {
		record.add(removedBuckets(span{4 * i, 4*i + 2}, 0, sets[i%2]))
	}
	return len(record.spans)
}

// has returns those of the fields that the removed bucket has that contains a time.
func (r *removed) has(at int64, fields []string) (has []string) {
	set, _ := r.at(at)
	for _, field := range fields {
		if set.has(field) {
			has = append(has, field)
		}
	}
	return has
}

// RemovedFields returns the size of a record of removed buckets, which were added in their order, and a function that returns which of some
// fields the record has for the bucket at a time. The record is encoded and decoded after each bucket.
func RemovedFields(all []Removed) (size int, has func(at int64, fields ...string) []string, err error) {
	var record removed
	for _, b := range all {
		value, err := b.add(&record)
		if err != nil {
			return 0, nil, err
		}
		size = len(value)
	}
	return size, func(at int64, fields ...string) []string { return record.has(at, fields) }, nil
}

// FieldsWith returns which of the fields a record of the series "m" has for the bucket at a time after more buckets were added.
func FieldsWith(value []byte, more Removed, at int64, fields ...string) ([]string, error) {
	_, record, err := decodeExpired([]byte(expiredKeyOf("m")), value)
	if err == nil {
		_, err = more.add(&record)
	}
	return record.has(at, fields), err
}

// The names of files with a checksum.
const (
	IDFile       = idFile
	HeirFile     = heirFile
	IdentityFile = identityFile
	OwnerFile    = ownerFile
	BornFile     = bornFile
)

// ErrFormat is wrapped by errors about bytes in another format.
var ErrFormat = errFormat

// WriteChecked writes a file with a checksum.
var WriteChecked = writeChecked

// ReadChecked reads a file with a checksum, as that with its name is read.
func ReadChecked(path string) (string, error) {
	old := map[string]func(string) bool{idFile: isID, heirFile: isHeir, identityFile: isIdentity, ownerFile: isOwner, bornFile: isBorn}
	text, _, err := readChecked(path, old[filepath.Base(path)])
	return text, err
}
