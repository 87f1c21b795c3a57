package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/buildinfo"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/option"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// defaultFile is the configuration file that is read, if it exists, when neither a flag nor the environment names
// one.
const defaultFile = "analytics-api.toml"

// envPrefix is the prefix of the environment variables that override the configuration file.
const envPrefix = "ANALYTICS_API_"

// config holds the settings of the command. Flags override the environment, and the environment overrides the file:
//
//	defaults ─▶ analytics-api.toml ─▶ ANALYTICS_API_… ─▶ --flags ─▶ validate ─▶ the program
//
// analytics-api.toml describes every setting for users, with its default. A setting is a field here with its name in the
// file, an element of [settings] and a default in [defaults]. [config.validate] checks all values once, so later code
// does not ask again. A config is not changed after loadConfig has returned it.
type config struct {
	// The listener: who can connect.
	Listen         string   `toml:"listen"`                      // host:port; port 0 means any free one
	AllowPublic    bool     `toml:"allow_public"`                // whether other machines may reach addresses without authentication
	Hosts          []string `toml:"hosts"`                       // names in the header Host, in addition to loopback ones: see checksHost
	MaxConnections int      `toml:"max_connections"`             // of all clients, above 0
	MaxPerAddress  int      `toml:"max_connections_per_address"` // of one client, above 0
	HealthListen   string   `toml:"health_listen"`               // host:port for probes only; "" for none

	// Access: which requests are answered.
	Tokens         string   `toml:"tokens"`          // the path of the file; "" if requests need no token
	TokenRate      int      `toml:"token_rate"`      // requests per second of a token; 0 for no limit
	AddressRate    int      `toml:"address_rate"`    // requests per second of a client's address; 0 for no limit
	TrustedProxies []string `toml:"trusted_proxies"` // addresses and networks; parseProxies makes proxies of them
	CORSOrigins    []string `toml:"cors_origins"`    // as browsers send them, or "*"
	TLSCert        string   `toml:"tls_cert"`        // the paths of files; "" serves without TLS
	TLSKey         string   `toml:"tls_key"`         // set if TLSCert is
	TLSClientCA    string   `toml:"tls_client_ca"`   // "" if clients need no certificate

	LogFormat string `toml:"log_format"` // "text" or "json"
	LogLevel  string `toml:"log_level"`  // "debug", "info", "warn" or "error"

	// The Redis that is read if Embedded is empty. No password has a flag of its own, because all users of a machine can see
	// the arguments of its processes.
	Redis              []string `toml:"redis"`
	RedisMasterName    string   `toml:"redis_master_name"` // "" unless the URLs are those of Sentinels
	RedisUsername      string   `toml:"redis_username"`
	RedisPassword      string   `toml:"redis_password"`      // "" for none, or if the file is set
	RedisPasswordFile  string   `toml:"redis_password_file"` // read for each connection
	RedisSentinelUser  string   `toml:"redis_sentinel_username"`
	RedisSentinelPass  string   `toml:"redis_sentinel_password"`      // readSecrets sets it to the content of the file
	RedisSentinelFile  string   `toml:"redis_sentinel_password_file"` // read once, at the start
	RedisDB            int      `toml:"redis_db"`                     // 0 or more
	RedisTimeout       duration `toml:"redis_timeout"`                // also applies to the embedded Redis
	RedisTLSCA         string   `toml:"redis_tls_ca"`                 // the paths of files; "" for the authorities of the system, and for no certificate
	RedisTLSCert       string   `toml:"redis_tls_cert"`
	RedisTLSKey        string   `toml:"redis_tls_key"`
	RedisTLSServerName string   `toml:"redis_tls_server_name"` // "" for the host of the address

	// The Redis that the command starts.
	Embedded       string `toml:"embedded"`        // "" for none, "auto", "redis-server" or "memory"
	EmbeddedListen string `toml:"embedded_listen"` // host:port; port 0 means any free one
	EmbeddedDir    string `toml:"embedded_dir"`    // "" keeps no records over a restart

	EmbeddedPassword     string `toml:"embedded_password"`      // "" means that the command makes one
	EmbeddedPasswordFile string `toml:"embedded_password_file"` // see embeddedPasswordFile for the default

	// Limits of requests: see the fields of [api.Options] with these names. Sizes are in bytes. All are above 0, except CacheSize, and
	// MaxTotalBytes is at least twice MaxBytes: one client may use half of it, into which the largest answer must fit.
	DefaultDatabase string `toml:"default_database"`
	MaxRecords      int    `toml:"max_records"`
	MaxBuckets      int    `toml:"max_buckets"`
	MaxBytes        int    `toml:"max_bytes"`
	MaxScanned      int    `toml:"max_scanned"`
	MaxStreams      int    `toml:"max_streams"`
	MaxTotalBytes   int    `toml:"max_total_bytes"`
	CacheSize       int    `toml:"cache_size"` // 0 keeps no answers; api.Options has a negative number for that

	// What /metrics/analytics exports.
	Export          []export `toml:"export"`
	ExportMaxAge    duration `toml:"export_max_age"`    // 0 for a time that depends on the width of the buckets
	ExportMaxSeries int      `toml:"export_max_series"` // above 0, as the next one
	ExportBuckets   int      `toml:"export_buckets"`

	// Made from the settings above by validate.
	tls     *tls.Config    // of connections to Redis, from RedisTLS…; nil if none of these is set
	proxies []netip.Prefix // from TrustedProxies

	showVersion, check bool // the flags --version and --check, which are no settings
}

// export is a table for /metrics/analytics: one block [[export]] of the file.
type export struct {
	Database string `toml:"database"`
	Table    string `toml:"table"`
	Agents   string `toml:"agents"` // whether the agents of a series are one series: see the constants
}

// Values of export.Agents. The empty text is agentsMerged too.
const (
	agentsMerged = "merged"
	agentsEach   = "each"
)

// duration is a time.Duration that is written as text in TOML, such as "5s".
type duration time.Duration

// UnmarshalText reads a duration such as "5s". It implements [encoding.TextUnmarshaler], for the TOML library.
//
// A day has no unit: the units are those of time.ParseDuration.
func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a time, want one such as \"5s\" or \"1h30m\"", b)
	}
	*d = duration(v)
	return nil
}

// defaults returns the default settings. Lists are empty instead of nil, as in analytics-api.toml: a test compares both. Settings
// that are missing here have the zero value as their default.
func defaults() config {
	return config{
		Listen: "127.0.0.1:8001", MaxConnections: 1000, MaxPerAddress: 250, Hosts: []string{},
		TrustedProxies: []string{}, CORSOrigins: []string{}, LogFormat: "text", LogLevel: "info",
		Redis: []string{"redis://127.0.0.1:6379"}, RedisTimeout: duration(5 * time.Second), EmbeddedListen: "127.0.0.1:6379",
		MaxRecords: api.DefaultMaxRecords, MaxBuckets: api.DefaultMaxBuckets, MaxBytes: api.DefaultMaxBytes,
		MaxScanned: api.DefaultMaxScanned, MaxStreams: api.DefaultMaxStreams, MaxTotalBytes: api.DefaultMaxTotalBytes, CacheSize: api.DefaultCacheBytes,
		ExportMaxSeries: api.DefaultExportMaxSeries, ExportBuckets: api.DefaultExportBuckets,
	}
}

// setting describes a setting that an environment variable can set, and perhaps a flag. For example, the setting max_records has
// the variable ANALYTICS_API_MAX_RECORDS and no flag, and tls_cert has ANALYTICS_API_TLS_CERT and --tls-cert.
type setting struct {
	name    string                              // the name in the file; the flag has "-" instead of "_"
	flagged bool                                // whether there is a flag, which the constant help describes
	boolean bool                                // whether the flag may have no value, which means "true"
	set     func(c *config, value string) error // parses the value; only validate checks its range
}

// flag returns the name of the setting's flag.
func (s setting) flag() string { return strings.ReplaceAll(s.name, "_", "-") }

// The following functions return setters for the types of settings. at returns the address of the setting. Their errors
// contain the value but not the name of the setting: the caller adds the name of the variable or of the flag. text has no
// error, so a password is in none.

// text returns a setter for a text.
func text(at func(*config) *string) func(*config, string) error {
	return func(c *config, value string) error {
		*at(c) = value
		return nil
	}
}

// number returns a setter for a whole number.
func number(at func(*config) *int) func(*config, string) error {
	return func(c *config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
		*at(c) = n
		return nil
	}
}

// boolean returns a setter for a boolean.
func boolean(at func(*config) *bool) func(*config, string) error {
	return func(c *config, value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		*at(c) = b
		return nil
	}
}

// span returns a setter for a time such as "5s".
func span(at func(*config) *duration) func(*config, string) error {
	return func(c *config, value string) error { return at(c).UnmarshalText([]byte(value)) }
}

// list returns a setter for a list, whose elements are separated by commas or spaces. An empty value is an empty list, so the
// environment can remove the list of the file. For example, "a, b" has two elements.
func list(at func(*config) *[]string) func(*config, string) error {
	return func(c *config, value string) error {
		*at(c) = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		return nil
	}
}

// settings returns all settings except the export blocks, which only the file can contain. A setting that is used often
// has a flag, which the constant help describes; a flag for each setting would make the help hard to read. loadConfig defines the
// flag --redis, because it can be repeated.
func settings() []setting {
	return slices.Concat(serviceSettings(), redisSettings(), limitSettings())
}

// serviceSettings returns the settings of the listener, of access to it and of the log.
func serviceSettings() []setting {
	return []setting{
		{name: "listen", flagged: true, set: text(func(c *config) *string { return &c.Listen })},
		{name: "allow_public", flagged: true, boolean: true, set: boolean(func(c *config) *bool { return &c.AllowPublic })},
		{name: "hosts", set: list(func(c *config) *[]string { return &c.Hosts })},
		{name: "max_connections", set: number(func(c *config) *int { return &c.MaxConnections })},
		{name: "max_connections_per_address", set: number(func(c *config) *int { return &c.MaxPerAddress })},
		{name: "health_listen", set: text(func(c *config) *string { return &c.HealthListen })},
		{name: "tokens", flagged: true, set: text(func(c *config) *string { return &c.Tokens })},
		{name: "token_rate", set: number(func(c *config) *int { return &c.TokenRate })},
		{name: "address_rate", set: number(func(c *config) *int { return &c.AddressRate })},
		{name: "trusted_proxies", set: list(func(c *config) *[]string { return &c.TrustedProxies })},
		{name: "cors_origins", set: list(func(c *config) *[]string { return &c.CORSOrigins })},
		{name: "tls_cert", flagged: true, set: text(func(c *config) *string { return &c.TLSCert })},
		{name: "tls_key", flagged: true, set: text(func(c *config) *string { return &c.TLSKey })},
		{name: "tls_client_ca", set: text(func(c *config) *string { return &c.TLSClientCA })},
		{name: "log_format", set: text(func(c *config) *string { return &c.LogFormat })},
		{name: "log_level", flagged: true, set: text(func(c *config) *string { return &c.LogLevel })},
	}
}

// redisSettings returns the settings of the Redis to read, and of the one that the command starts. None of the passwords has
// a flag.
func redisSettings() []setting {
	return []setting{
		{name: "redis", set: list(func(c *config) *[]string { return &c.Redis })},
		{name: "redis_master_name", set: text(func(c *config) *string { return &c.RedisMasterName })},
		{name: "redis_username", set: text(func(c *config) *string { return &c.RedisUsername })},
		{name: "redis_password", set: text(func(c *config) *string { return &c.RedisPassword })},
		{name: "redis_password_file", set: text(func(c *config) *string { return &c.RedisPasswordFile })},
		{name: "redis_sentinel_username", set: text(func(c *config) *string { return &c.RedisSentinelUser })},
		{name: "redis_sentinel_password", set: text(func(c *config) *string { return &c.RedisSentinelPass })},
		{name: "redis_sentinel_password_file", set: text(func(c *config) *string { return &c.RedisSentinelFile })},
		{name: "redis_db", set: number(func(c *config) *int { return &c.RedisDB })},
		{name: "redis_timeout", set: span(func(c *config) *duration { return &c.RedisTimeout })},
		{name: "redis_tls_ca", set: text(func(c *config) *string { return &c.RedisTLSCA })},
		{name: "redis_tls_cert", set: text(func(c *config) *string { return &c.RedisTLSCert })},
		{name: "redis_tls_key", set: text(func(c *config) *string { return &c.RedisTLSKey })},
		{name: "redis_tls_server_name", set: text(func(c *config) *string { return &c.RedisTLSServerName })},
		{name: "embedded", flagged: true, set: text(func(c *config) *string { return &c.Embedded })},
		{name: "embedded_listen", flagged: true, set: text(func(c *config) *string { return &c.EmbeddedListen })},
		{name: "embedded_dir", flagged: true, set: text(func(c *config) *string { return &c.EmbeddedDir })},
		{name: "embedded_password", set: text(func(c *config) *string { return &c.EmbeddedPassword })},
		{name: "embedded_password_file", set: text(func(c *config) *string { return &c.EmbeddedPasswordFile })},
	}
}

// limitSettings returns the settings of requests, and of the export except for its tables.
func limitSettings() []setting {
	return []setting{
		{name: "default_database", set: text(func(c *config) *string { return &c.DefaultDatabase })},
		{name: "max_records", set: number(func(c *config) *int { return &c.MaxRecords })},
		{name: "max_buckets", set: number(func(c *config) *int { return &c.MaxBuckets })},
		{name: "max_bytes", set: number(func(c *config) *int { return &c.MaxBytes })},
		{name: "max_streams", set: number(func(c *config) *int { return &c.MaxStreams })},
		{name: "max_scanned", set: number(func(c *config) *int { return &c.MaxScanned })},
		{name: "max_total_bytes", set: number(func(c *config) *int { return &c.MaxTotalBytes })},
		{name: "cache_size", set: number(func(c *config) *int { return &c.CacheSize })},
		{name: "export_max_age", set: span(func(c *config) *duration { return &c.ExportMaxAge })},
		{name: "export_max_series", set: number(func(c *config) *int { return &c.ExportMaxSeries })},
		{name: "export_buckets", set: number(func(c *config) *int { return &c.ExportBuckets })},
	}
}

// loadConfig returns the configuration from the file, the environment and the flags. The error contains every fault
// in it. For --help it returns [flag.ErrHelp]. For --version it reads nothing but the
// flags, so that a fault of the configuration does not hide the version.
//
// The steps, each of which can fail:
//
//	flags.Parse ─▶ readFile ─▶ readEnvironment ─▶ readFlags ─▶ --redis ─▶ validate
//	    └ given: the values of the flags, which readFlags sets after those of the file and the environment
func loadConfig(args, environ []string) (config, error) {
	c := defaults()
	flags := flag.NewFlagSet("analytics-api", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error has the reason
	flags.Usage = func() {}     // help has all flags
	file := flags.String("config", "", "")
	flags.BoolVar(&c.check, "check", false, "")
	flags.BoolVar(&c.showVersion, "version", false, "")
	given := defineFlags(flags)
	var servers []string
	flags.Func("redis", "", func(value string) error {
		servers = append(servers, value)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return c, explainFlag(err, flags, "--help")
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unknown argument%s, want flags, or first the word token: --help explains them", shownArgument(flags.Arg(0)))
	}
	// Before the file, so that its faults do not matter.
	if c.showVersion {
		return c, nil
	}
	from := make(sources)
	if err := errors.Join(c.readFile(*file, environ, from), c.readEnvironment(environ, from), c.readFlags(given, from)); err != nil {
		return c, err
	}
	if len(servers) > 0 { // they replace those of the file and the environment, instead of being added
		c.Redis, from["redis"] = servers, "flag --redis"
	}
	return c, from.locate(c.validate())
}

// explainFlag returns an error of package flag in the form of our other errors, with a suggestion for a flag that does not exist.
// help is the flag that lists the flags. [flag.ErrHelp] is returned unchanged.
func explainFlag(err error, flags *flag.FlagSet, help string) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	var known []string
	flags.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	if name, unknown := option.UnknownFlag(err, known); unknown {
		return fmt.Errorf("unknown flag %s: %s lists the flags", name, help)
	}
	return fmt.Errorf("%w: %s lists the flags", err, help)
}

// shownArgument returns a space and an argument in quotes, or "" for one that may have a password, such as a URL. Words of
// lower-case letters are shown: they are often a subcommand or a flag with a typing error.
func shownArgument(arg string) string {
	if strings.Trim(arg, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return ""
	}
	return " " + strconv.Quote(arg)
}

// defineFlags defines the flags of all settings that have one. Parsing the flags adds their values to the returned
// map, by the name of the setting. It does not set them: the flags are parsed first, because one of them names the file, but
// they override the file and the environment.
func defineFlags(flags *flag.FlagSet) map[string]string {
	given := make(map[string]string)
	for _, s := range settings() {
		if !s.flagged {
			continue
		}
		define := flags.Func
		if s.boolean {
			define = flags.BoolFunc
		}
		define(s.flag(), "", func(value string) error {
			given[s.name] = value
			return nil
		})
	}
	return given
}

// lookup returns the value of the first environment variable of that name, or "".
func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// readEnvironment reads the variables that begin with ANALYTICS_API_. Unknown ones are errors, except those that Kubernetes sets.
// An empty variable sets an empty value. Of a variable that is there twice, the last one counts. The variables are added to from.
func (c *config) readEnvironment(environ []string, from sources) error {
	known := map[string]setting{envPrefix + "CONFIG": {set: func(*config, string) error { return nil }}}
	for _, s := range settings() {
		known[envPrefix+strings.ToUpper(s.name)] = s
	}
	var errs []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		s, ok := known[name]
		switch {
		case ok:
			from[s.name] = "environment variable " + name
			if err := s.set(c, value); err != nil {
				errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
			}
		case !isServiceLink(name, value):
			errs = append(errs, fmt.Errorf("unknown environment variable %s%s", name, option.Suggest(name, slices.Sorted(maps.Keys(known)))))
		}
	}
	return errors.Join(errs...)
}

// serviceLinks are the forms of the variables that Kubernetes sets in each pod for every service of the namespace.
// Their names begin with the name of the service. So those of a service analytics-api, or analytics-api-redis as in a
// sub-chart, begin with envPrefix.
//
// For example, for a service analytics-api-redis: ANALYTICS_API_REDIS_SERVICE_HOST=10.96.0.12,
// ANALYTICS_API_REDIS_PORT=tcp://10.96.0.12:6379 and ANALYTICS_API_REDIS_PORT_6379_TCP_PROTO=tcp.
var serviceLinks = []struct{ name, value *regexp.Regexp }{ // a nil value matches all values
	{regexp.MustCompile(`_SERVICE_HOST$`), nil},
	{regexp.MustCompile(`_SERVICE_PORT(_[A-Z0-9_]+)?$`), regexp.MustCompile(`^[0-9]+$`)},
	{regexp.MustCompile(`_PORT$`), regexp.MustCompile(`^(tcp|udp|sctp)://`)}, // LISTEN_PORT=8001 does not match: it is a user's mistake
	{regexp.MustCompile(`_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`), nil},
}

// isServiceLink reports whether the variable has one of the forms in serviceLinks.
func isServiceLink(name, value string) bool {
	for _, link := range serviceLinks {
		if link.name.MatchString(name) && (link.value == nil || link.value.MatchString(value)) {
			return true
		}
	}
	return false
}

// readFlags sets the settings that were given as flags, by their names. The flags are added to from.
func (c *config) readFlags(given map[string]string, from sources) error {
	var errs []error
	for _, s := range settings() {
		if value, ok := given[s.name]; ok {
			from[s.name] = "flag --" + s.flag()
			if err := s.set(c, value); err != nil {
				errs = append(errs, fmt.Errorf("flag --%s: %w", s.flag(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// validate returns an error that contains every fault of the settings, or nil. It also reads the files that settings name:
// passwords, tokens and certificates. Otherwise only a later request would show their faults. If a setting has a variable, the
// error contains only such settings, because other faults can follow from it. It also makes c.tls and c.proxies, which later code
// uses instead of the settings that they are made from.
func (c *config) validate() error {
	if err := c.checkVariables(); err != nil {
		return err
	}
	return errors.Join(c.validateListen(), c.validateLimits(), c.validateAccess(), c.validateLog(), c.validateNames(), c.validateEmbedded(), c.validateRedis())
}

// invalid returns an error about a setting: see [option.Examples.Errorf]. The place where it was set is added by [sources.locate].
func invalid(name, format string, args ...any) error {
	return option.Examples(nil).Errorf(name, format, args...)
}

// Largest values of numbers, far above what is useful, so that sums of limits cannot overflow.
const (
	mostCount = 1_000_000_000 // of things, and of requests per second
	mostBytes = min(1<<40, math.MaxInt)
)

// validateLimits checks the numbers that limit something.
func (c *config) validateLimits() error {
	var errs []error
	for _, limit := range []struct {
		name               string
		value, least, most int
	}{
		{"max_connections", c.MaxConnections, 1, mostCount}, {"max_connections_per_address", c.MaxPerAddress, 1, mostCount},
		{"token_rate", c.TokenRate, 0, mostCount}, {"address_rate", c.AddressRate, 0, mostCount},
		{"max_records", c.MaxRecords, 1, mostCount}, {"max_buckets", c.MaxBuckets, 1, mostCount}, {"max_bytes", c.MaxBytes, 1, mostBytes},
		{"max_scanned", c.MaxScanned, 1, mostCount}, {"max_streams", c.MaxStreams, 1, mostCount}, {"max_total_bytes", c.MaxTotalBytes, 1, mostBytes},
		{"cache_size", c.CacheSize, 0, mostBytes}, {"export_max_series", c.ExportMaxSeries, 1, mostCount}, {"export_buckets", c.ExportBuckets, 1, mostCount},
		{"redis_db", c.RedisDB, 0, math.MaxInt32},
	} {
		if limit.value < limit.least || limit.value > limit.most {
			errs = append(errs, invalid(limit.name, " %d, want a number from %d to %d", limit.value, limit.least, limit.most))
		}
	}
	// One client can use half of it, so the largest answer must fit into that.
	if c.MaxTotalBytes > 0 && c.MaxBytes <= mostBytes && c.MaxTotalBytes/2 < c.MaxBytes {
		errs = append(errs, invalid("max_total_bytes", " %d, want at least two times max_bytes, %d", c.MaxTotalBytes, c.MaxBytes))
	}
	if c.ExportMaxAge < 0 {
		errs = append(errs, invalid("export_max_age", " %q, want 0s or more", time.Duration(c.ExportMaxAge)))
	}
	return errors.Join(errs...)
}

// validateRedis checks the settings of the connection to Redis, also if the command starts a Redis and does not use them. It reads
// the files of passwords and of TLS, but does not connect. It sets c.tls, and the password of the Sentinels.
func (c *config) validateRedis() error {
	var errs []error
	if c.RedisTimeout <= 0 {
		errs = append(errs, invalid("redis_timeout", " %q, want more than 0s", time.Duration(c.RedisTimeout)))
	}
	errs = append(errs, c.readSecrets())
	errs = append(errs, c.validateSentinels())
	errs = append(errs, c.loadTLS())
	if err := c.dialOptions().Check(); err != nil {
		errs = append(errs, invalid("redis", ": %w", err))
	}
	return errors.Join(errs...)
}

// validateSentinels returns an error for the first of the credentials of Sentinels that is set, unless there are Sentinels.
func (c *config) validateSentinels() error {
	if c.RedisMasterName != "" {
		return nil
	}
	for _, s := range []struct{ name, value string }{
		{"redis_sentinel_username", c.RedisSentinelUser}, {"redis_sentinel_password_file", c.RedisSentinelFile},
		{"redis_sentinel_password", c.RedisSentinelPass},
	} {
		if s.value != "" {
			return invalid(s.name, ": there is no 'redis_master_name', want the name of the primary that the Sentinels watch")
		}
	}
	return nil
}

// validateNames returns an error for names that a database or table in the cache cannot have. It does not look whether they exist:
// tables come and go. The rules are those of the writers, so that no name is accepted here which no table can have.
func (c *config) validateNames() error {
	var errs []error
	check := func(setting, name string) {
		if err := record.CheckName(name); err != nil {
			errs = append(errs, invalid(setting, " %q: %w", name, err))
		}
	}
	if c.DefaultDatabase != "" {
		check("default_database", c.DefaultDatabase)
	}
	for _, e := range c.Export {
		check("export.database", e.Database)
		check("export.table", e.Table)
		if !slices.Contains([]string{"", agentsMerged, agentsEach}, e.Agents) {
			errs = append(errs, invalid("export.agents", " %q, want %q or %q", e.Agents, agentsMerged, agentsEach))
		}
	}
	return errors.Join(errs...)
}

// loadTLS reads the files of the TLS settings of Redis. If none is set, c.tls stays nil: then the scheme of the URLs decides
// whether TLS is used, with the authorities of the system. The files are read once, at the start.
func (c *config) loadTLS() error {
	if c.RedisTLSCA == "" && c.RedisTLSCert == "" && c.RedisTLSKey == "" && c.RedisTLSServerName == "" {
		return nil
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.RedisTLSServerName}
	var errs []error
	if c.RedisTLSCA != "" {
		pool, err := readAuthorities(c.RedisTLSCA)
		if err != nil {
			errs = append(errs, invalid("redis_tls_ca", ": %w", err))
		}
		c.tls.RootCAs = pool
	}
	switch {
	case (c.RedisTLSCert == "") != (c.RedisTLSKey == ""):
		errs = append(errs, invalid(oneOf("redis_tls_cert", c.RedisTLSCert, "redis_tls_key"),
			": 'redis_tls_cert' and 'redis_tls_key' belong together, want both or none"))
	case c.RedisTLSCert != "":
		pair, err := readPair("redis_tls_cert", c.RedisTLSCert, "redis_tls_key", c.RedisTLSKey)
		errs = append(errs, err)
		c.tls.Certificates = []tls.Certificate{pair}
	}
	return errors.Join(errs...)
}

// oneOf returns the name of the first setting if it is set, or else that of the second.
func oneOf(first, value, second string) string {
	if value != "" {
		return first
	}
	return second
}

// dialOptions returns the options of the connection to the configured Redis. The password in a file is read for each
// connection, so that it can change without a restart.
func (c config) dialOptions() cache.DialOptions {
	o := cache.DialOptions{
		Servers: c.Redis, MasterName: c.RedisMasterName, Username: c.RedisUsername, Password: c.RedisPassword, DB: c.RedisDB,
		SentinelUsername: c.RedisSentinelUser, SentinelPassword: c.RedisSentinelPass, TLS: c.tls, Timeout: time.Duration(c.RedisTimeout),
	}
	if c.RedisPasswordFile != "" {
		o.PasswordFrom = func() (string, error) { return secret.Read(c.RedisPasswordFile) }
	}
	return o
}

// apiOptions returns the options of the API. Storage describes where records are kept, and redis is its address. The caller
// adds what only a running service has: Collectors, Tokens, Streams and Page.
func (c config) apiOptions(storage, redis string, log *slog.Logger) api.Options {
	o := api.Options{
		DefaultDatabase: c.DefaultDatabase, MaxRecords: c.MaxRecords, MaxBuckets: c.MaxBuckets, MaxBytes: c.MaxBytes, Timeout: api.DefaultTimeout,
		MaxScanned: c.MaxScanned, MaxTotalBytes: c.MaxTotalBytes, CacheBytes: cmp.Or(c.CacheSize, -1), ReadyTimeout: time.Duration(c.RedisTimeout),
		CheckHost: c.checksHost(), Hosts: c.Hosts,
		ExportMaxAge: time.Duration(c.ExportMaxAge), ExportMaxSeries: c.ExportMaxSeries, ExportBuckets: c.ExportBuckets,
		TokenRate: c.TokenRate, AddressRate: c.AddressRate, TrustedProxies: c.proxies, CORSOrigins: c.CORSOrigins,
		Storage: storage, Redis: redis, Version: buildinfo.Version(version), Log: log,
	}
	for _, e := range c.Export {
		o.Export = append(o.Export, exporter.Table{Table: record.Table{Database: e.Database, Name: e.Table}, EachAgent: e.Agents == agentsEach})
	}
	return o
}
