// Package rediscache is a Telegraf output that writes the statistics of the describe aggregator to Redis.
// analytics-api reads them from there.
//
//	Write ─▶ sort: metrics ─▶ records by table (batch.go) ─▶ putAll ─▶ cache.Writer ─▶ Redis
//	             │                                             │
//	             └─ not a row of describe: rejected            ├─ refused for good: rejected
//	                                                           ├─ failed: Telegraf keeps the metrics and writes them again
//	                                                           └─ a server of a cluster is away: the writer keeps them (Defer)
//
// The package only translates: it turns options into those of package cache, metrics into records, and results into
// errors that Telegraf understands (errors.go), counters and log lines. Of errors that last, it logs at most one a minute,
// unless their reason changes, and then their end (outage.go).
package rediscache

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/common/tls"
	"github.com/influxdata/telegraf/plugins/outputs"
	"github.com/influxdata/telegraf/selfstat"
	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// sampleConfig is the reference of the options. The README contains it.
//
//go:embed sample.conf
var sampleConfig string

// RedisCache is the output. Its options are those of sample.conf. Telegraf calls its methods one at a
// time, so most fields need no lock. The writer may call report and logRestored from its own goroutine: these use only the
// options, the counters, the log, upkeep and losses.
//
// Telegraf sets the options, Log and Statistics, and then calls Init once, Connect, perhaps several times, Write with each batch, and Close.
// A program that only checks a configuration calls Check alone. That needs no Log.
type RedisCache struct {
	Servers          []string        `toml:"servers"`     // URLs, one or more
	MasterName       string          `toml:"master_name"` // "" unless the servers are Sentinels
	Username         config.Secret   `toml:"username"`
	Password         config.Secret   `toml:"password"`
	PasswordFile     string          `toml:"password_file"` // instead of Password; read for each connection
	SentinelUsername config.Secret   `toml:"sentinel_username"`
	SentinelPassword config.Secret   `toml:"sentinel_password"`
	DB               int             `toml:"db"`
	Timeout          config.Duration `toml:"timeout"`      // of one command, see patience
	Database         string          `toml:"database"`     // of metrics without DatabaseTag; may be "" if there is a DatabaseTag
	DatabaseTag      string          `toml:"database_tag"` // "" for none
	Agent            string          `toml:"agent"`        // Check sets the default, the name of the host
	Replica          string          `toml:"replica"`      // "" unless several Telegrafs have the same Agent
	Retention        config.Duration `toml:"retention"`    // 1s or more
	MaxBuckets       int             `toml:"max_buckets"`  // of a table; 0 for all
	CompatMaxRecords int             `toml:"compat_max_records"`
	RestoreLimit     config.Size     `toml:"restore_limit"` // bytes; 0 keeps nothing
	tls.ClientConfig

	Log telegraf.Logger `toml:"-"` // Telegraf sets it before Init
	// Statistics registers the counters, with the tags of this output. Telegraf sets it; if it is nil, Init makes one without tags.
	Statistics *selfstat.Collector `toml:"-"`

	client redis.UniversalClient // client and writer are nil without a connection
	writer *cache.Writer
	silent map[string]bool // the servers of a cluster that did not answer in the last Write, by their addresses

	// The writer counts from its start, and the statistics of Telegraf are changed by differences. So these are how many the
	// counters have already. Connect makes a new writer and sets them to 0.
	outdated int64 // outdated records
	notKept  int64 // records that the writer does not keep
	late     int64 // records that were written after they had waited
	lost     int64 // records that were lost while they waited

	outage   outage    // in which Redis accepts no writes
	reason   string    // why there was no connection, as it was last logged
	reasoned time.Time // when that was
	away     time.Time // when it was last logged that a server of a cluster does not answer
	twin     time.Time // when another Telegraf with the same name was last logged
	process  process   // this one; tests set it
	counters counters
	logged   map[string]bool // reasons of rejection that were logged, at most maxReasons
	upkeep   upkeep          // whether the writer's own work succeeds
	losses   losses          // of data in Redis that are not logged yet
}

// counters are the plugin's own statistics. Telegraf's input "internal" reports them as internal_rediscache. They may be
// changed concurrently.
type counters struct {
	written   selfstat.Stat // records in Redis, also those that have waited
	outdated  selfstat.Stat // records of which Redis had a newer revision
	rejected  selfstat.Stat // metrics that are not records, or that Redis refuses for good
	ignored   selfstat.Stat // fields that have no place in a record
	faults    selfstat.Stat // errors of upkeep: see report
	restored  selfstat.Stat // records that were written again because Redis had lost them
	notKept   selfstat.Stat // written records beyond RestoreLimit, which cannot be written again
	keptBytes selfstat.Stat // the memory of records that can be written again, now
	waiting   selfstat.Stat // records that wait for a server of a cluster, now
	lost      selfstat.Stat // records beyond RestoreLimit that waited
	twins     selfstat.Stat // how often another Telegraf with the same name was noticed: see logTwin
}

// SampleConfig returns the documented options.
func (*RedisCache) SampleConfig() string { return sampleConfig }

// examples has a valid value for each option that can be invalid. An error about the option shows it.
var examples = option.Examples{ //nolint:gosec // the path of a file
	"agent": `"web1"`, "compat_max_records": "1000", "database": `"mydb"`, "database_tag": `"tenant"`, "db": "0", "master_name": `"mymaster"`,
	"max_buckets": "1000", "restore_limit": `"64MiB"`, "retention": `"30d"`, "servers": `["redis://127.0.0.1:6379"]`, "timeout": `"5s"`,
	"password_file": `"/etc/telegraf/redis.password"`,
}

// Examples returns a valid value for each option that can be invalid, for errors of those who read the options from a file. The caller must
// not change it.
func (*RedisCache) Examples() option.Examples { return examples }

// Check checks the options and sets the default of agent. It may be called several times. The error joins one of type
// [option.Error] for each fault, except for those of TLS settings.
func (r *RedisCache) Check() error {
	if r.Agent == "" {
		name, err := os.Hostname()
		if err != nil {
			return examples.Errorf("agent", " \"\": the name of the host is unknown: %w", err)
		}
		r.Agent = name
	}
	unset := errors.Join(examples.Unset(r), r.checkSecrets())
	return option.Prefer(unset, errors.Join(r.checkServers(), r.checkDatabase(), r.checkLimits()))
}

// checkSecrets returns an error for each secret that is the name of an environment variable that is not set. Errors of a secret store
// are left to Connect.
func (r *RedisCache) checkSecrets() error {
	var errs []error
	for _, s := range r.secrets(new(cache.DialOptions)) {
		text, err := reveal(s.value)
		if missing := option.Unset(option.SecretVariable(text)); err == nil && missing != "" {
			errs = append(errs, examples.Errorf(s.name, ": the environment variable %s is not set", missing))
		}
	}
	return errors.Join(errs...)
}

// Init checks the options as [RedisCache.Check] does, and registers the counters. It does not connect. Telegraf calls it
// once, before Connect.
func (r *RedisCache) Init() error {
	if err := r.Check(); err != nil {
		return err
	}
	r.logged = make(map[string]bool)
	collector := r.Statistics
	if collector == nil {
		collector = selfstat.NewCollector(nil)
	}
	r.counters = counters{
		written:  collector.Register("rediscache", "records_written", nil),
		outdated: collector.Register("rediscache", "records_outdated", nil),
		rejected: collector.Register("rediscache", "records_rejected", nil),
		ignored:  collector.Register("rediscache", "fields_ignored", nil),
		faults:   collector.Register("rediscache", "upkeep_errors", nil),
		restored: collector.Register("rediscache", "records_restored", nil),
		notKept:  collector.Register("rediscache", "records_not_kept", nil),

		waiting: collector.Register("rediscache", "records_waiting", nil),
		lost:    collector.Register("rediscache", "records_lost", nil),
		twins:   collector.Register("rediscache", "name_conflicts", nil),

		keptBytes: collector.Register("rediscache", "kept_bytes", nil),
	}
	return nil
}

// checkServers checks servers, credentials, db and the TLS settings. Its errors contain no secret. It returns the first
// one only.
func (r *RedisCache) checkServers() error {
	if err := (cache.DialOptions{Servers: r.Servers, MasterName: r.MasterName, DB: r.DB}).Check(); err != nil {
		hint := ""
		if errors.Is(err, cache.ErrEncoding) {
			hint = "; or write it into 'password' as it is"
		}
		return examples.Errorf("servers", ": %w%s", err, hint)
	}
	if r.MasterName == "" && (!r.SentinelUsername.Empty() || !r.SentinelPassword.Empty()) {
		return examples.Errorf("master_name", " \"\" with credentials of Sentinels, want the name of the primary that they watch")
	}
	if r.PasswordFile != "" && !r.Password.Empty() {
		return examples.Errorf("password_file", " with a password, want one of them")
	}
	if r.DB < 0 {
		return examples.Errorf("db", " %d, want 0 or more", r.DB)
	}
	if _, err := r.TLSConfig(); err != nil {
		return fmt.Errorf("invalid TLS settings: %w", err)
	}
	return nil
}

// checkDatabase checks database and database_tag. The values of database_tag are only known with the metrics: see
// [RedisCache.read]. Tags with which describe marks its rows cannot be the tag.
func (r *RedisCache) checkDatabase() error {
	if r.Database == "" && r.DatabaseTag == "" {
		return examples.Errorf("database", " \"\", want the name of a database, or a 'database_tag'")
	}
	switch r.DatabaseTag {
	case record.FieldName, record.TimeBucket, record.BucketState:
		return examples.Errorf("database_tag", " %q, want the name of a tag without another meaning", r.DatabaseTag)
	}
	if r.Database == "" {
		return nil
	}
	if err := record.CheckName(r.Database); err != nil {
		return examples.Errorf("database", " %q: %w", r.Database, err)
	}
	if strings.ContainsRune(r.Database, utf8.RuneError) { // the configuration's parser has replaced invalid UTF-8
		return examples.Errorf("database", " %q: a name is valid UTF-8", r.Database)
	}
	return nil
}

// checkLimits checks the durations and the numbers. The retention is a second or more because keys expire after whole
// seconds.
func (r *RedisCache) checkLimits() error {
	var errs []error
	if retention := time.Duration(r.Retention); retention < time.Second {
		errs = append(errs, examples.Errorf("retention", " %q, want 1s or more", retention))
	}
	if timeout := time.Duration(r.Timeout); timeout <= 0 {
		errs = append(errs, examples.Errorf("timeout", " %q, want more than 0s", timeout))
	}
	if r.MaxBuckets < 0 {
		errs = append(errs, examples.Errorf("max_buckets", " %d, want 0 (all) or more", r.MaxBuckets))
	}
	if r.CompatMaxRecords < 0 {
		errs = append(errs, examples.Errorf("compat_max_records", " %d, want 0 (no compatibility key) or more", r.CompatMaxRecords))
	}
	if r.RestoreLimit < 0 {
		errs = append(errs, examples.Errorf("restore_limit", " %d, want 0 (nothing is written again) or more", r.RestoreLimit))
	}
	return errors.Join(errs...)
}

// optionNames are the names of the options, for the errors of package cache.
var optionNames = cache.Names{
	Servers: "servers", MasterName: "master_name", Username: "username", Password: "password", PasswordFile: "password_file",
	SentinelUsername: "sentinel_username", SentinelPassword: "sentinel_password", DB: "db",
	Limits: []string{"retention", "max_buckets"}, TLS: []string{"tls_ca", "tls_cert", "tls_key", "tls_server_name"},
}

// Connect connects to Redis. It may be called again after an error. Telegraf's startup_error_behavior applies to the
// error, except if a second try cannot help, as with wrong credentials. The error contains the options to check.
//
// cache.Dial alone would not connect, and the first Write would find a fault. So Connect sends a PING.
func (r *RedisCache) Connect() error {
	o, err := r.dialOptions()
	if err != nil {
		return err
	}
	client, err := cache.Dial(o)
	if err != nil {
		return err
	}
	process := r.process.orThis()
	writer := cache.NewWriter(client, cache.Options{
		Retention: time.Duration(r.Retention), MaxBuckets: r.MaxBuckets, CompatRecords: r.CompatMaxRecords,
		RecentBytes: int64(r.RestoreLimit), Restored: r.noteRestored, Report: r.report,
		Identity: process.identity(r.Agent, r.Replica), Twin: r.logTwin, Now: process.now,
	})
	ctx, cancel := context.WithTimeout(context.Background(), r.patience(1))
	defer cancel()
	if err := writer.Ping(ctx); err != nil {
		_ = client.Close()
		err := &startupError{err: o.Explain(err, optionNames), retry: !cache.IsPermanent(err)}
		r.logNoConnection(err, time.Now())
		r.outage.fail(time.Now())
		return err
	}
	r.client, r.writer = client, writer
	r.outdated, r.notKept, r.late, r.lost = 0, 0, 0, 0
	return nil
}

// maxCommands is how many commands are sent one after another, at most, to connect or to write a table. When the timeout of
// one command bounded all of them, a timeout of 5 s never allowed a connection over a network with round trips of 3 s.
const maxCommands = 20

// patience bounds a connection or the writing of tables. The option timeout bounds each command, so this bound is reached
// only if the network is slow but every command succeeds. With a timeout of 5 s it is 100 s for each table.
func (r *RedisCache) patience(tables int) time.Duration {
	return time.Duration(max(tables, 1)) * maxCommands * time.Duration(r.Timeout)
}

// logNoConnection logs why there is no connection, if the reason has changed or was logged a minute ago. Telegraf logs the
// reason of the first attempt; of later ones it logs only "not connected".
func (r *RedisCache) logNoConnection(err error, now time.Time) {
	reason, again := err.Error(), r.outage.attempts > 0
	if again && reason == r.reason && now.Sub(r.reasoned) < time.Minute {
		return
	}
	if again {
		r.Log.Warnf("Not connected after %s: %s", now.Sub(r.outage.since).Round(time.Millisecond), reason)
	}
	r.reason, r.reasoned = reason, now
}

// dialOptions returns the options of the connection, with the secrets. It reads the options that are secrets from their
// store, so that happens at each Connect. A password from a file, or of a Redis that analytics-api has started, is read for
// each connection, because it may change while Telegraf runs.
func (r *RedisCache) dialOptions() (cache.DialOptions, error) {
	o := cache.DialOptions{Servers: r.Servers, MasterName: r.MasterName, DB: r.DB, Timeout: time.Duration(r.Timeout)}
	for _, s := range r.secrets(&o) {
		text, err := reveal(s.value)
		if err != nil {
			return o, fmt.Errorf("getting '%s': %w", s.name, err)
		}
		*s.text = text
	}
	var err error
	if o.TLS, err = r.TLSConfig(); err != nil {
		return o, fmt.Errorf("invalid TLS settings: %w", err)
	}
	if r.PasswordFile != "" {
		o.PasswordFrom = func() (string, error) { return secret.Read(r.PasswordFile) }
	} else if addr, ok := o.Local(); ok { // perhaps that of analytics-api --embedded
		o.PasswordFrom = func() (string, error) { return redisserver.LocalPassword(addr) }
	}
	return o, nil
}

// secretOption is an option that is a secret, and the place of its text in the options of the connection.
type secretOption struct {
	name  string
	value *config.Secret
	text  *string
}

// secrets returns the options that are secrets, with pointers into r and o, in the order of sample.conf.
func (r *RedisCache) secrets(o *cache.DialOptions) []secretOption {
	return []secretOption{
		{"username", &r.Username, &o.Username},
		{"password", &r.Password, &o.Password},
		{"sentinel_username", &r.SentinelUsername, &o.SentinelUsername},
		{"sentinel_password", &r.SentinelPassword, &o.SentinelPassword},
	}
}

// reveal returns the text of a secret, or "" for a secret that is not set. The text is a copy, because
// that of Telegraf's buffer is valid only until Destroy.
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

// at adds the addresses of the servers to an error, and the options to check.
func (r *RedisCache) at(err error) error {
	return cache.DialOptions{Servers: r.Servers}.Explain(err, optionNames)
}

// report receives the errors of work that the writer tries again: see [cache.Options]. It counts every error, and
// logs at most one a minute. It may be called concurrently.
func (r *RedisCache) report(err error) {
	r.counters.faults.Incr(1)
	if r.upkeep.fail(time.Now()) {
		r.Log.Warnf("%v", r.at(err))
	}
}

// noteRestored counts and logs that Redis had lost records: see [cache.Options]. It may be called concurrently.
func (r *RedisCache) noteRestored(tables, records int) {
	r.counters.restored.Incr(int64(records))
	r.losses.add(tables, records)
	r.logLosses(time.Now())
}

// logLosses logs that Redis had lost records, at most once in lossesEvery. It may be called concurrently.
func (r *RedisCache) logLosses(now time.Time) {
	times, tables, records := r.losses.take(now)
	switch {
	case times == 1:
		r.Log.Warnf("Redis at %s has lost data, as after FLUSHALL, a restart without persistence, a failover or an eviction. The last records are "+
			"written again (tables: %d, records: %d)", r.addrs(), tables, records)
	case times > 1:
		r.Log.Warnf("Redis at %s has lost data %d times since the last message, as with a 'maxmemory-policy' other than noeviction. The last records are "+
			"written again (records: %d)", r.addrs(), times, records)
	}
}

// addrs returns the addresses of the servers for the log.
func (r *RedisCache) addrs() string {
	return strings.Join(cache.DialOptions{Servers: r.Servers}.Addrs(), ", ")
}

// Write writes the records of a batch, one transaction for each table. Writing a batch twice has the same effect as
// writing it once, so Telegraf may repeat a batch of which it does not know what was written. Metrics that are not rows of
// describe are rejected; the others are written. The error is nil, or of the form that [batch.err] describes. Write does
// not change the metrics and keeps none.
func (r *RedisCache) Write(metrics []telegraf.Metric) error {
	b := r.sort(metrics)
	ctx, cancel := context.WithTimeout(context.Background(), r.patience(len(b.tables)))
	defer cancel()
	r.putAll(ctx, b)
	r.count(b)
	r.logRejected(b)
	r.logRecovery(b)
	r.logLosses(time.Now())
	if r.upkeep.end(time.Now()) {
		r.Log.Infof("Recovered: cleaning, the list of tables and the compatibility keys work again")
	}
	return b.err()
}

// putAll writes the records of all tables. After a server has not answered, it does not try its other tables. In a cluster
// the tables of other servers are written all the same, before those of servers that did not answer the last time.
func (r *RedisCache) putAll(ctx context.Context, b *batch) {
	nodes := make([]string, 0, len(b.order)) // the server of each table; "" without a cluster
	for _, t := range b.order {
		nodes = append(nodes, r.writer.Node(ctx, t))
	}
	before := r.silent // without a cluster it has at most the server ""
	r.silent = make(map[string]bool)
	// Each table of a silent server costs a timeout. So servers that answered the last time come first, and a server is
	// not tried again in this Write after it was silent. Without a cluster the remaining tables are then left to Telegraf,
	// which keeps all metrics that the result does not mention.
	for _, silent := range []bool{false, true} {
		for i, t := range b.order {
			switch {
			case before[nodes[i]] != silent:
			case !r.silent[nodes[i]]:
				r.silent[nodes[i]] = !r.put(ctx, b, t, nodes[i] != "")
			case nodes[i] != "":
				b.away = append(b.away, away{table: t})
			}
		}
	}
	r.deferAway(ctx, b)
}

// put writes the records of one table, and notes the result in the batch. It returns false if Redis does not answer. cluster is whether the
// table has a server of its own, so that others may answer: the table is then away, and [RedisCache.deferAway] decides about its records.
func (r *RedisCache) put(ctx context.Context, b *batch, t record.Table, cluster bool) bool {
	part := b.tables[t]
	err := r.writer.Put(ctx, t, part.records)
	if err == nil {
		b.accepted = append(b.accepted, part.indices...)
		return true
	}
	explained := fmt.Errorf("table %s: %w", t, r.at(err))
	switch {
	case isPermanent(err):
		b.refuse(part, explained)
	case cluster && cache.IsUnavailable(err):
		b.away = append(b.away, away{t, explained})
	default:
		b.failed = append(b.failed, explained)
	}
	return !cache.IsUnavailable(err)
}

// deferAway passes the records of a cluster's servers that do not answer to the writer, which keeps them until they do, if
// another server of the cluster answers. If Telegraf kept them, they would fill its batches, and the rows behind them would
// never be written. Telegraf keeps them if no server answers, or if the writer keeps nothing.
func (r *RedisCache) deferAway(ctx context.Context, b *batch) {
	if len(b.away) == 0 {
		return
	}
	answers := len(b.accepted) > 0 || r.writer.Ping(ctx) == nil // a ping that any server of the cluster answers is enough
	for _, a := range b.away {
		part := b.tables[a.table]
		switch {
		case answers && r.writer.Defer(a.table, part.records):
			b.accepted = append(b.accepted, part.indices...)
			b.deferred += len(part.records)
			if a.err != nil {
				r.logAway(a.err, time.Now())
			}
		case a.err != nil:
			b.failed = append(b.failed, a.err)
		}
	}
}

// logAway logs that the records of a server wait, if it was not logged within a minute.
func (r *RedisCache) logAway(err error, now time.Time) {
	if now.Sub(r.away) < time.Minute {
		return
	}
	r.away = now
	waiting, _, lost := r.writer.Waiting()
	r.Log.Errorf("A server of the cluster does not answer; tables on the others are written. "+
		"%d records wait for it, %d were lost because of 'restore_limit': %v", waiting, lost, err)
}

// count adds the results of a batch to the plugin's statistics. Records that the writer skipped are outdated, not
// written. Accepted records that wait count as written only when they are: late is the number of those. The numbers of the writer are
// totals, so the statistics get the differences to the last count; the statistics that are a present number are set.
func (r *RedisCache) count(b *batch) {
	outdated := r.writer.Outdated() - r.outdated
	r.outdated += outdated
	r.counters.outdated.Incr(outdated)
	r.counters.written.Incr(int64(len(b.accepted)-b.deferred) - outdated)
	r.counters.rejected.Incr(int64(len(b.rejected)))
	r.counters.ignored.Incr(b.ignored)
	_, size, notKept := r.writer.Recent()
	r.counters.notKept.Incr(notKept - r.notKept)
	r.notKept = notKept
	r.counters.keptBytes.Set(size)
	waiting, late, lost := r.writer.Waiting()
	r.counters.waiting.Set(waiting)
	r.counters.written.Incr(late - r.late)
	r.counters.lost.Incr(lost - r.lost)
	r.late, r.lost = late, lost
}

// logRecovery notes whether Redis accepts writes, and logs when it does so again for all tables. A batch without records that
// were written shows neither.
func (r *RedisCache) logRecovery(b *batch) {
	switch {
	case len(b.failed) > 0 || b.deferred > 0:
		r.outage.fail(time.Now())
	case len(b.accepted) > b.deferred && r.counters.waiting.Get() == 0:
		r.away = time.Time{}
		if lasted, attempts := r.outage.end(time.Now()); attempts > 0 {
			r.Log.Infof("Recovered: redis at %s accepts writes again after %s; attempts that failed: %d",
				r.addrs(), lasted.Round(time.Millisecond), attempts)
		}
	}
}

// logRejected logs each reason of rejection once. Refusals of Redis are not among them: Telegraf logs these with the error
// of Write.
func (r *RedisCache) logRejected(b *batch) {
	for _, err := range b.unfit {
		if reason := err.Error(); !r.logged[reason] && len(r.logged) < maxReasons {
			r.logged[reason] = true
			r.Log.Errorf("Rejected a metric, and will reject others like it without a message: %v", err)
		}
	}
}

// maxReasons is the largest number of different reasons for rejection that are logged. Reasons may contain names from the
// metrics, so their number has no other bound.
const maxReasons = 100

// Close writes again what Redis is known to have lost, rebuilds outdated compatibility keys if Redis answers, and
// disconnects. It logs the losses that are not logged yet. It may be called without a connection. Records that still wait for a server of
// a cluster are then lost, and the error has their number.
func (r *RedisCache) Close() error {
	if r.client == nil {
		return nil
	}
	err := errors.Join(r.writer.Close(r.patience(1)), r.client.Close())
	r.client, r.writer = nil, nil
	r.logLosses(time.Now().Add(lossesEvery)) // no later line could have them
	if err != nil {
		return r.at(err)
	}
	return nil
}

// init registers the plugin with the defaults of sample.conf.
func init() {
	outputs.Add("rediscache", func() telegraf.Output {
		return &RedisCache{
			Servers:          []string{"redis://127.0.0.1:6379"},
			Timeout:          config.Duration(5 * time.Second),
			Retention:        config.Duration(30 * 24 * time.Hour),
			CompatMaxRecords: 1000,
			RestoreLimit:     64 << 20,
		}
	})
}
