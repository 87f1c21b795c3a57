// Package exporter makes the exposition for Prometheus: the newest final record of each series of the exported tables. Its samples
// are the gauges <table>_<statistic> for the statistics, the gauge <table>_bucket_start_seconds for the start of the record's
// bucket, and in protobuf the native histogram <table>_distribution of its values. Two more gauges are about the scrape: which
// tables are missing, and how much is left out, by reason.
//
// A scrape of a table takes these steps, each of which has a file:
//
//	plan.go     which buckets are read, by their age
//	newest.go   the final records in them, by series and agent, and the bucket that each series is exported from
//	target.go   the summaries of the series that several agents describe, or that need a histogram
//	write.go    the text format, OpenMetrics or protobuf
//
// For example, the record of one series, in OpenMetrics and without the lines of HELP:
//
//	# TYPE analytics_cpu_bucket_start_seconds gauge
//	analytics_cpu_bucket_start_seconds{database="mydb",field_name="usage_idle",host="a"} 1.76732304e+09
//	# TYPE analytics_cpu_mean gauge
//	analytics_cpu_mean{database="mydb",field_name="usage_idle",host="a"} 94.5
//	# TYPE analytics_cpu_values gauge
//	analytics_cpu_values{database="mydb",field_name="usage_idle",host="a"} 6
//	# TYPE analytics_export_table_up gauge
//	analytics_export_table_up{database="mydb",table="cpu"} 1
package exporter

import (
	"context"
	"errors"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Table is a table that is exported.
type Table struct {
	record.Table
	// EachAgent makes the records of each agent series of their own, with the labels agent and replica. Otherwise the agents that
	// describe the same series are merged.
	EachAgent bool
}

// Source is a table of the settings and where it is in Redis. At most one of Missing and Err is set.
type Source struct {
	Table
	// Stored is the table in Redis. Its name can have a prefix that the settings leave out.
	Stored record.Table
	// Missing is true if Redis has no such table.
	Missing bool
	// Err is why it is not known where the table is, or nil.
	Err error
}

// Options are limits of one scrape. All except MaxAge are above zero.
type Options struct {
	// MaxSeries is the largest number of exported series, of all tables together.
	MaxSeries int
	// MaxBuckets is the largest number of buckets of a table that are read.
	MaxBuckets int
	// MaxScanned is the largest number of records and summaries that are read, of all tables together.
	MaxScanned int
	// MaxAge limits the age of the newest final bucket of an exported series, counted from the start of the bucket. 0 means
	// the larger of 5 minutes and three widths of the table's buckets, and 10 minutes more for records that are marked as final.
	MaxAge time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Reader reads the stored records. The methods are those of the API's reader.
type Reader interface {
	// Buckets returns the starts of the table's buckets in the range, ascending.
	Buckets(ctx context.Context, t record.Table, r record.Range) ([]time.Time, error)
	// Records calls yield for the parts of each bucket, in the order of starts. A bucket whose records have expired has one part
	// without records. yield may keep the part and change it. An error of yield ends the reading and is returned. want is 0.
	Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error
	// Summaries calls yield for each bucket, in the order of starts, with the summaries of its records, and several times for a
	// large bucket. An error of yield ends the reading and is returned.
	Summaries(ctx context.Context, t record.Table, starts []time.Time, yield func(record.Summaries) error) error
}

// errEnough ends a reading at the limit of records. No caller of Read gets it.
var errEnough = errors.New("the limit of records is reached")
