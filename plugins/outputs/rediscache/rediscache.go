// Package rediscache is a Telegraf output that keeps the statistics of the describe aggregator in Redis,
// from where analytics-api serves them.
package rediscache

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/common/tls"
	"github.com/influxdata/telegraf/plugins/outputs"
	"github.com/influxdata/telegraf/selfstat"
	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

//go:embed sample.conf
var sampleConfig string

// RedisCache is the output. Its options are those of sample.conf. Telegraf calls its methods one at a
// time.
type RedisCache struct {
	Servers          []string        `toml:"servers"`
	MasterName       string          `toml:"master_name"`
	Username         config.Secret   `toml:"username"`
	Password         config.Secret   `toml:"password"`
	DB               int             `toml:"db"`
	Timeout          config.Duration `toml:"timeout"`
	Database         string          `toml:"database"`
	DatabaseTag      string          `toml:"database_tag"`
	Agent            string          `toml:"agent"`
	Retention        config.Duration `toml:"retention"`
	MaxBuckets       int             `toml:"max_buckets"`
	CompatMaxRecords int             `toml:"compat_max_records"`
	tls.ClientConfig

	Log        telegraf.Logger     `toml:"-"`
	Statistics *selfstat.Collector `toml:"-"`

	client   redis.UniversalClient
	store    *cache.Store
	counters counters
	told     map[string]bool // reasons of rejection that were logged
	reported atomic.Int64    // when a fault beside the writes was logged, in nanoseconds since 1970
}

// counters are the plugin's own statistics, which Telegraf's internal input reports as
// internal_rediscache.
type counters struct {
	written, rejected, ignored, faults selfstat.Stat
}

// SampleConfig returns the documented options.
func (*RedisCache) SampleConfig() string { return sampleConfig }

// Init checks the options. It does not connect.
func (r *RedisCache) Init() error {
	if r.Agent == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("invalid 'agent' setting \"\": the host's name is not known: %w", err)
		}
		r.Agent = name
	}
	if err := errors.Join(r.checkServers(), r.checkDatabase(), r.checkLimits()); err != nil {
		return err
	}
	r.told = make(map[string]bool)
	collector := r.Statistics
	if collector == nil {
		collector = selfstat.NewCollector(nil)
	}
	r.counters = counters{
		written:  collector.Register("rediscache", "records_written", nil),
		rejected: collector.Register("rediscache", "records_rejected", nil),
		ignored:  collector.Register("rediscache", "fields_ignored", nil),
		faults:   collector.Register("rediscache", "upkeep_errors", nil),
	}
	return nil
}

func (r *RedisCache) checkServers() error {
	if err := (cache.DialOptions{Servers: r.Servers, MasterName: r.MasterName, DB: r.DB}).Check(); err != nil {
		return fmt.Errorf("invalid 'servers' setting: %w", err)
	}
	if r.DB < 0 {
		return fmt.Errorf("invalid 'db' setting %d, want 0 or more", r.DB)
	}
	if _, err := r.TLSConfig(); err != nil {
		return fmt.Errorf("invalid TLS settings: %w", err)
	}
	return nil
}

func (r *RedisCache) checkDatabase() error {
	if r.Database == "" && r.DatabaseTag == "" {
		return errors.New("invalid 'database' setting \"\", want the name of the database whose tables are cached, or a 'database_tag'")
	}
	if r.DatabaseTag == record.FieldName || r.DatabaseTag == record.TimeBucket {
		return fmt.Errorf("invalid 'database_tag' setting %q, the tag says something else", r.DatabaseTag)
	}
	if r.Database == "" {
		return nil
	}
	if err := record.CheckName(r.Database); err != nil {
		return fmt.Errorf("invalid 'database' setting %q: %w", r.Database, err)
	}
	if strings.ContainsRune(r.Database, utf8.RuneError) { // the parser of the configuration replaces what is not UTF-8
		return fmt.Errorf("invalid 'database' setting %q: a name is valid UTF-8", r.Database)
	}
	return nil
}

func (r *RedisCache) checkLimits() error {
	if retention := time.Duration(r.Retention); retention < time.Second {
		return fmt.Errorf("invalid 'retention' setting %q, want 1s or more", retention)
	}
	if timeout := time.Duration(r.Timeout); timeout <= 0 {
		return fmt.Errorf("invalid 'timeout' setting %q, want more than 0s", timeout)
	}
	if r.MaxBuckets < 0 {
		return fmt.Errorf("invalid 'max_buckets' setting %d, want 0 (all) or more", r.MaxBuckets)
	}
	if r.CompatMaxRecords < 0 {
		return fmt.Errorf("invalid 'compat_max_records' setting %d, want 0 (no compatibility key) or more", r.CompatMaxRecords)
	}
	return nil
}

var optionNames = cache.Names{
	Servers: "servers", Username: "username", Password: "password", DB: "db",
	TLS: []string{"tls_ca", "tls_cert", "tls_key", "tls_server_name"},
}

// Connect connects to Redis. It may be called again after an error. The error honours Telegraf's
// startup_error_behavior where trying again can help: not when Redis refuses the credentials. It names the options to look at.
func (r *RedisCache) Connect() error {
	o, err := r.dialOptions()
	if err != nil {
		return err
	}
	client, err := cache.Dial(o)
	if err != nil {
		return err
	}
	store := cache.NewStore(client, cache.Options{
		Retention: time.Duration(r.Retention), MaxBuckets: r.MaxBuckets, CompatRecords: r.CompatMaxRecords, Report: r.report,
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Timeout))
	defer cancel()
	if err := store.Ping(ctx); err != nil {
		_ = client.Close()
		return &startupError{err: o.Explain(err, optionNames), retry: !cache.IsPermanent(err)}
	}
	r.client, r.store = client, store
	return nil
}

func (r *RedisCache) dialOptions() (cache.DialOptions, error) {
	o := cache.DialOptions{Servers: r.Servers, MasterName: r.MasterName, DB: r.DB, Timeout: time.Duration(r.Timeout)}
	var err error
	if o.Username, err = reveal(&r.Username); err != nil {
		return o, fmt.Errorf("getting 'username': %w", err)
	}
	if o.Password, err = reveal(&r.Password); err != nil {
		return o, fmt.Errorf("getting 'password': %w", err)
	}
	if o.TLS, err = r.TLSConfig(); err != nil {
		return o, fmt.Errorf("invalid TLS settings: %w", err)
	}
	return o, nil
}

func reveal(s *config.Secret) (string, error) {
	if s.Empty() {
		return "", nil
	}
	b, err := s.Get()
	if err != nil {
		return "", err
	}
	defer b.Destroy()
	return strings.Clone(b.TemporaryString()), nil
}

// at says to which servers an error belongs.
func (r *RedisCache) at(err error) error {
	return fmt.Errorf("redis at %s: %w", strings.Join(cache.DialOptions{Servers: r.Servers}.Addrs(), ", "), err)
}

// report is told of what went wrong beside the writes, which is tried again. The log has it once a
// minute at most, the counter every time. The store calls it concurrently.
func (r *RedisCache) report(err error) {
	r.counters.faults.Incr(1)
	now, last := time.Now().UnixNano(), r.reported.Load()
	if now-last >= int64(time.Minute) && r.reported.CompareAndSwap(last, now) {
		r.Log.Warnf("%v", r.at(err))
	}
}

// Write writes the records of a batch, one transaction a table. Writing a batch again changes nothing.
// What is no record is rejected, and does not keep the rest from being written.
func (r *RedisCache) Write(metrics []telegraf.Metric) error {
	b := r.sort(metrics)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.Timeout)+time.Duration(len(b.tables))*time.Second)
	defer cancel()
	for _, t := range b.order {
		if !r.put(ctx, b, t) {
			break
		}
	}
	r.tell(b)
	return b.err()
}

// put writes the records of one table. It returns false where Redis does not answer: then the tables after
// it need not be tried.
func (r *RedisCache) put(ctx context.Context, b *batch, t record.Table) bool {
	part := b.tables[t]
	err := r.store.Put(ctx, t, part.records)
	switch {
	case err == nil:
		b.accepted = append(b.accepted, part.indices...)
		r.counters.written.Incr(int64(len(part.indices)))
		return true
	case isPermanent(err):
		b.refuse(part, fmt.Errorf("table %s: %w", t, r.at(err)))
		return true
	}
	b.failed = append(b.failed, fmt.Errorf("table %s: %w", t, r.at(err)))
	return cache.IsAnswer(err)
}

// tell counts what was rejected and logs each reason once.
func (r *RedisCache) tell(b *batch) {
	r.counters.rejected.Incr(int64(len(b.rejected)))
	r.counters.ignored.Incr(b.ignored)
	for _, err := range b.unfit {
		if reason := err.Error(); !r.told[reason] && len(r.told) < maxReasons {
			r.told[reason] = true
			r.Log.Errorf("Rejected a metric, and others like it from now on: %v", err)
		}
	}
}

// maxReasons bounds how many reasons of rejection are logged.
const maxReasons = 100

// Close ends the work beside the writes, with the compatibility keys up to date where Redis lets it, and
// disconnects. It may be called without a connection.
func (r *RedisCache) Close() error {
	if r.client == nil {
		return nil
	}
	err := errors.Join(r.store.Close(time.Duration(r.Timeout)), r.client.Close())
	r.client, r.store = nil, nil
	if err != nil {
		return r.at(err)
	}
	return nil
}

func init() {
	outputs.Add("rediscache", func() telegraf.Output {
		return &RedisCache{
			Servers:          []string{"redis://127.0.0.1:6379"},
			Timeout:          config.Duration(5 * time.Second),
			Retention:        config.Duration(30 * 24 * time.Hour),
			CompatMaxRecords: 1000,
		}
	})
}
