package exporter

import (
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protowire"
)

// writeSize is about how many bytes are written at a time.
const writeSize = 64 << 10

// writer writes an exposition sample by sample, so that a slow client needs little memory. Samples are appended to b.
type writer struct {
	b  []byte // not written yet: about writeSize at most, and one sample more
	to io.Writer
}

// newWriter returns a writer, of which flush must be called at the end.
func newWriter(to io.Writer) *writer { return &writer{make([]byte, 0, 2*writeSize), to} }

// sample ends a sample.
func (w *writer) sample() error {
	if len(w.b) < writeSize {
		return nil
	}
	return w.flush()
}

// flush writes what is not written yet.
func (w *writer) flush() error {
	_, err := w.to.Write(w.b)
	w.b = w.b[:0]
	return err
}

// WriteText writes the exposition in the text format of Prometheus, version 0.0.4, or in that of OpenMetrics, version 1.0.0. For
// gauges, they differ in the help and at the end. The exposition must be one without protobuf. Families come by name, and their
// samples by labels, so that equal expositions have equal bytes. An error is that of the writer.
func (x *Exposition) WriteText(to io.Writer, openMetrics bool) error {
	w := newWriter(to)
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	if openMetrics {
		escape = escapeLabel
	}
	for _, name := range slices.Sorted(maps.Keys(x.families)) {
		f := x.families[name]
		w.b = append(append(append(append(w.b, "# HELP "...), name...), ' '), escape.Replace(f.help)...)
		w.b = append(append(append(w.b, "\n# TYPE "...), name...), " gauge\n"...)
		for _, s := range f.samples {
			w.b = append(append(append(w.b, name...), s.labels...), ' ')
			w.b = append(strconv.AppendFloat(w.b, s.value, 'g', -1, 64), '\n')
			if err := w.sample(); err != nil {
				return err
			}
		}
	}
	if openMetrics {
		w.b = append(w.b, "# EOF\n"...)
	}
	return w.flush()
}

// The numbers of fields in the messages of client_model, package io.prometheus.client:
//
//	MetricFamily  1 name  2 help  3 type  4 metric …
//	Metric        1 label …  2 gauge  7 histogram
//	LabelPair     1 name  2 value
//	Gauge         1 value, a double
const (
	familyName, familyHelp, familyType, familyMetric = 1, 2, 3, 4
	metricLabel, metricGauge, metricHistogram        = 1, 2, 7
	labelPairName, labelPairValue                    = 1, 2
	gaugeValue                                       = 1
)

// gaugeSize is the size of the message Gauge: a tag and eight bytes.
const gaugeSize = 9

// WriteProto writes the exposition as messages MetricFamily, each after its length. The samples of a family are not held as messages,
// because the deltas of 10,000 histograms would need 30 MB.
func (x *Exposition) WriteProto(to io.Writer) error {
	w := newWriter(to)
	for _, name := range slices.Sorted(maps.Keys(x.families)) {
		f := x.families[name]
		head := f.protoHead(name)
		size := len(head)
		for _, s := range f.samples {
			// The length of a message comes before it, so the sizes are added up first.
			size += protowire.SizeTag(familyMetric) + protowire.SizeBytes(f.protoSize(s))
		}
		w.b = append(protowire.AppendVarint(w.b, uint64(size)), head...)
		for _, s := range f.samples {
			w.b = protowire.AppendTag(w.b, familyMetric, protowire.BytesType)
			w.b = append(protowire.AppendVarint(w.b, uint64(f.protoSize(s))), s.labels...)
			if f.histogram {
				w.b = protowire.AppendString(protowire.AppendTag(w.b, metricHistogram, protowire.BytesType), s.histogram)
			} else {
				w.b = protowire.AppendVarint(protowire.AppendTag(w.b, metricGauge, protowire.BytesType), gaugeSize)
				w.b = protowire.AppendFixed64(protowire.AppendTag(w.b, gaugeValue, protowire.Fixed64Type), math.Float64bits(s.value))
			}
			if err := w.sample(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// protoHead returns the fields of a family before its metrics.
func (f *family) protoHead(name string) []byte {
	kind := dto.MetricType_GAUGE
	if f.histogram {
		kind = dto.MetricType_GAUGE_HISTOGRAM // of the values of one bucket, which do not add up over time
	}
	b := protowire.AppendString(protowire.AppendTag(nil, familyName, protowire.BytesType), name)
	b = protowire.AppendString(protowire.AppendTag(b, familyHelp, protowire.BytesType), f.help)
	return protowire.AppendVarint(protowire.AppendTag(b, familyType, protowire.VarintType), uint64(kind))
}

// protoSize returns the size of a sample as a message Metric. It must agree with what WriteProto appends.
func (f *family) protoSize(s sample) int {
	if f.histogram {
		return len(s.labels) + protowire.SizeTag(metricHistogram) + protowire.SizeBytes(len(s.histogram))
	}
	return len(s.labels) + protowire.SizeTag(metricGauge) + protowire.SizeBytes(gaugeSize)
}

// appendProto appends the labels as fields of the message Metric.
func (l labels) appendProto(b []byte) []byte {
	for i, name := range l.names {
		value := l.values[i]
		size := protowire.SizeTag(labelPairName) + protowire.SizeBytes(len(name)) + protowire.SizeTag(labelPairValue) + protowire.SizeBytes(len(value))
		b = protowire.AppendVarint(protowire.AppendTag(b, metricLabel, protowire.BytesType), uint64(size))
		b = protowire.AppendString(protowire.AppendTag(b, labelPairName, protowire.BytesType), name)
		b = protowire.AppendString(protowire.AppendTag(b, labelPairValue, protowire.BytesType), value)
	}
	return b
}
