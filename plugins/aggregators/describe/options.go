package describe

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/filter"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	ids "github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const (
	// defaultPeriod is Telegraf's default of an aggregator's period.
	defaultPeriod = config.Duration(30 * time.Second)
	// minPeriod is the shortest period. Telegraf calls Push at the end of each.
	minPeriod = time.Millisecond
	// compactLimit is the exact limit of a compact summary.
	compactLimit = 64
	// minLinger is the shortest default of linger.
	minLinger = 10 * time.Minute
)

// examples has a valid value for each option that can be invalid, in the syntax of TOML. Errors show it.
var examples = option.Examples{
	"accuracy": `"exact"`, "booleans": `"ignore"`, "bucket": `"10m"`, "bucket_tag": `"time_bucket"`, "emit": `"final"`,
	"emit_summary": `"compact"`, "exact_limit": "512", "group_by": `["host"]`, "layout": `"rows"`, "linger": `"10m"`,
	"max_future": `"1h"`, "max_series": "100000", "memory_limit": `"1GiB"`, "origin": `"2026-01-01T00:00:00Z"`, "period": `"30s"`,
	"prefix": `"analytics_"`, "quantile_method": `"linear"`, "state": `"/var/lib/telegraf-describe"`, "state_replay": `"1h"`,
	"state_retention": `"7d"`, "state_tag": `"bucket_state"`, "stats": `["count", "mean", "p95"]`, "timestamp": `"start"`,
	"timezone": `"Europe/Berlin"`,
}

// Examples returns a valid value for each option that can be invalid, for errors of those who read the options from a file. The caller must
// not change it.
func (*Describe) Examples() option.Examples { return examples }

// Check checks the options and turns them into values. It changes nothing outside of d and may be called several times.
// The error joins one of type [option.Error] for each fault, so that a user can correct all of them at once. An option with an environment
// variable that is not set has that error only, because its text is not the value that the user meant.
func (d *Describe) Check() error {
	return option.Prefer(examples.Unset(d, "alias", "namepass", "namedrop"), errors.Join(
		d.initGrid(),
		d.initSelection(),
		d.initGrouping(),
		d.initNames(),
		d.initLimits(),
		d.checkState(),
		examples.OneOf("booleans", d.Booleans, "number", "ignore"),
		d.checkTimestamp(),
		examples.OneOf("layout", d.Layout, "rows", "columns"),
		examples.OneOf("emit", d.Emit, "both", "final", "update"),
		d.initAccuracy(),
		examples.OneOf("emit_summary", d.EmitSummary, "off", "compact", "full"),
	))
}

// Init checks the options as [Describe.Check] does, and opens the state. Telegraf calls it once, before Add, Push and
// Reset; its error ends Telegraf. After an error, nothing is open.
func (d *Describe) Init() error {
	if err := d.Check(); err != nil {
		return err
	}
	d.counters.init(d.Statistics)
	if err := d.openState(); err != nil {
		return err
	}
	d.rows = rowMaker{Layout: record.Layout{BucketTag: d.BucketTag, StateTag: d.StateTag, Timestamp: timestamps[d.Timestamp]}, columns: d.Layout == "columns"}
	d.checkGates()
	d.warnVolatile()
	return nil
}

// checkState checks the path of the state. Whether the folder can be used is known when it is opened.
func (d *Describe) checkState() error {
	if option.Home(d.State) {
		return examples.Errorf("state", " %q, \"~\" is not replaced: want the path of a folder", d.State)
	}
	return nil
}

// engineOptions returns the options of the engine. The checks have set those that can be wrong. Encode stays nil, and rows have no
// summary, if emit_summary is "off".
func (d *Describe) engineOptions() engine.Options {
	o := d.options
	o.Prefix, o.MaxFuture, o.MaxSeries = d.Prefix, time.Duration(d.MaxFuture), d.MaxSeries
	o.Emit = map[string]engine.Emit{"both": engine.EmitBoth, "final": engine.EmitFinal, "update": engine.EmitUpdate}[d.Emit]
	o.Now, o.Notice, o.Taken = d.now, d.notice, d.taken()
	switch d.EmitSummary {
	case "compact":
		o.Encode = func(dst []byte, s *stats.Summary) []byte { return s.AppendLimited(dst, compactLimit) }
	case "full":
		o.Encode = func(dst []byte, s *stats.Summary) []byte {
			dst, _ = s.AppendBinary(dst) // never an error
			return dst
		}
	}
	return o
}

// timestamps are the choices of the option timestamp.
var timestamps = map[string]record.Timestamp{"start": record.AtStart, "end": record.AtEnd, "push": record.AtPush}

// taken returns a function that reports whether rows use a tag key for another purpose, in addition to the keys that
// are always reserved. The engine gives such a tag another name. With columns, any tag that ends like a column is taken, whatever
// fields there are: otherwise the name of a tag could change when a field comes. A tag cpu_mean, for example, is cpu_mean_tag in columns if
// stats has mean, and stays cpu_mean in rows.
func (d *Describe) taken() func(key string) bool {
	var suffixes []string
	if d.Layout == "columns" {
		for _, s := range d.options.Selection.Statistics() {
			suffixes = append(suffixes, record.StatName(s))
		}
	}
	return func(key string) bool { return key == d.BucketTag || key == d.StateTag || isColumnSuffix(key, suffixes) }
}

// initGrid sets the grid of buckets from period, bucket, timezone and origin. Without the option bucket, buckets are as long as the
// period.
func (d *Describe) initGrid() error {
	period := time.Duration(d.Period)
	if period < minPeriod {
		return examples.Errorf("period", " %q, want %s or more", period, minPeriod)
	}
	width := bucket.Fixed(period)
	if d.Bucket != "" {
		w, err := bucket.ParseWidth(d.Bucket)
		if err != nil {
			return examples.Errorf("bucket", ": %w", err)
		}
		width = w
	}
	zone, err := bucket.LoadZone(d.Timezone)
	if err != nil {
		return examples.Errorf("timezone", ": %w", err)
	}
	origin, err := time.Parse(time.RFC3339Nano, d.Origin)
	if err != nil {
		return examples.Errorf("origin", " %q, want a time in the format RFC 3339, such as \"1970-01-01T00:00:00Z\"", d.Origin)
	}
	d.options.Grid, err = bucket.NewGrid(width, origin, zone)
	if err != nil {
		return examples.Errorf("bucket", ": %w", err)
	}
	return nil
}

// initSelection sets the statistics from stats and quantile_method.
func (d *Describe) initSelection() error {
	method, err := stats.ParseMethod(d.QuantileMethod)
	if err != nil {
		return examples.Errorf("quantile_method", ": %w", err)
	}
	if d.options.Selection, err = stats.NewSelection(d.Stats, method); err != nil {
		return examples.Errorf("stats", ": %w%s", err, d.suggestStats())
	}
	return nil
}

// suggestStats returns suggestions for the names in stats that are misspelled. The error for a name of another program has one
// already.
func (d *Describe) suggestStats() string {
	known := append(stats.Names(), "p50", "p95", "p99", "p99.9")
	var all strings.Builder
	for _, name := range d.Stats {
		var unknown stats.UnknownStatistic
		if _, err := stats.ParseStatistic(name); errors.As(err, &unknown) && unknown.Meant == "" {
			all.WriteString(option.Suggest(name, known))
		}
	}
	return all.String()
}

// initAccuracy sets the limits of summaries and their encoding.
func (d *Describe) initAccuracy() error {
	errs := []error{examples.OneOf("accuracy", d.Accuracy, "auto", "exact")}
	if d.ExactLimit < 1 || d.ExactLimit >= stats.Unlimited {
		errs = append(errs, examples.Errorf("exact_limit", " %d, want 1 to %d", d.ExactLimit, stats.Unlimited-1))
	}
	if d.MemoryLimit <= 0 {
		errs = append(errs, examples.Errorf("memory_limit", " %d, want more than 0 bytes", d.MemoryLimit))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.options.ExactLimit = d.ExactLimit
	if d.Accuracy == "exact" {
		d.options.ExactLimit = stats.Unlimited
	}
	d.options.MemoryLimit = int(d.MemoryLimit)
	return nil
}

// initGrouping sets the filter of tags from group_by. The filter of ["*"] stays nil, which is faster in the engine.
func (d *Describe) initGrouping() error {
	keep, err := filter.Compile(d.GroupBy)
	switch {
	case err != nil:
		return examples.Errorf("group_by", " %q: %w", d.GroupBy, err)
	case keep == nil: // the list is empty
		d.options.Keep = func(string) bool { return false }
	case !slices.Contains(d.GroupBy, "*"):
		d.options.Keep = keep.Match
	}
	return nil
}

// checkTimestamp checks timestamp. With "push", rows need another mark of their bucket, which is bucket_tag.
func (d *Describe) checkTimestamp() error {
	if d.Timestamp == "push" && d.BucketTag == "" {
		return examples.Errorf("timestamp", " \"push\" without 'bucket_tag', want a tag that names the bucket, such as bucket_tag = \"time_bucket\"")
	}
	return examples.OneOf("timestamp", d.Timestamp, "start", "end", "push")
}

// initNames checks the names that rows add: the prefix, bucket_tag and state_tag.
func (d *Describe) initNames() error {
	var same error
	if d.StateTag != "" && d.StateTag == d.BucketTag {
		same = examples.Errorf("state_tag", " %q, 'bucket_tag' has it too", d.StateTag)
	}
	return errors.Join(same, d.checkPrefix(), checkTag("bucket_tag", d.BucketTag, record.TimeBucket), checkTag("state_tag", d.StateTag, record.BucketState))
}

// sendable is the rule of isSendable, for errors.
const sendable = "want valid UTF-8 without control characters and backslashes at the end"

// isSendable reports whether line protocol carries a name as it is, and the name has no control characters.
func isSendable(name string) bool {
	return ids.Sendable(name) == name && !strings.ContainsFunc(name, unicode.IsControl)
}

// checkPrefix checks the prefix of the names of tables.
func (d *Describe) checkPrefix() error {
	switch {
	case d.Prefix == "":
		return examples.Errorf("prefix", " \"\", want a text: without a prefix the statistics would be in the table of the values")
	case !isSendable(d.Prefix):
		return examples.Errorf("prefix", " %q, %s", d.Prefix, sendable)
	}
	return nil
}

// checkTag checks the name of a tag that rows have in addition to the tags of the series. usual is the reserved name
// that this tag may have: bucket_tag may be "time_bucket", but not "bucket_state" or "mean". An empty name means no tag.
func checkTag(name, tag, usual string) error {
	switch {
	case tag == "" || tag == usual:
		return nil
	case record.Reserved(tag) || tag == record.Agent:
		return examples.Errorf(name, " %q, want a name that has no other meaning in rows", tag)
	case !isSendable(tag):
		return examples.Errorf(name, " %q, %s", tag, sendable)
	}
	return nil
}

// Quiet returns how long a bucket must get no value before it becomes final: the option linger, or its default of ten minutes,
// or two periods if these are longer.
func (d *Describe) Quiet() time.Duration {
	if d.Linger != nil {
		return time.Duration(*d.Linger)
	}
	return max(minLinger, 2*time.Duration(d.Period))
}

// initLimits sets linger and checks the other limits.
func (d *Describe) initLimits() error {
	d.options.Linger = d.Quiet()
	var errs []error
	if d.options.Linger < 0 {
		errs = append(errs, examples.Errorf("linger", " %q, want 0s or more", d.options.Linger))
	}
	if d.MaxFuture < 0 {
		errs = append(errs, examples.Errorf("max_future", " %q, want 0s (no limit) or more", time.Duration(d.MaxFuture)))
	}
	if d.StateRetention <= 0 {
		errs = append(errs, examples.Errorf("state_retention", " %q, want more than 0s", time.Duration(d.StateRetention)))
	}
	if d.StateReplay < 0 {
		errs = append(errs, examples.Errorf("state_replay", " %q, want 0s or more", time.Duration(d.StateReplay)))
	}
	if d.MaxSeries < 0 {
		errs = append(errs, examples.Errorf("max_series", " %d, want 0 (no limit) or more", d.MaxSeries))
	}
	return errors.Join(errs...)
}
