package main

// help is what --help prints. A test compares its options with the flags, and its defaults with those of the settings.
const help = `Serves the statistics that telegraf-describe stores in Redis: over HTTP as JSON
and CSV, as a page for browsers, and for Prometheus.

usage: analytics-api [options]
       analytics-api token create | list | delete   (token --help explains these)

Where to serve
  --listen ADDRESS     host:port (default 127.0.0.1:8001)
  --tokens FILE        requests need a token of this file; token create makes one
  --allow-public       serve without tokens on an address that other machines
                       can reach
  --tls-cert FILE      certificate of the service, for HTTPS
  --tls-key FILE       its key

Where the statistics are
  --redis URL          of Redis, repeated for a cluster
                       (default redis://127.0.0.1:6379)
  --embedded KIND      start a Redis, instead of using a running one: redis-server,
                       memory (in this process), or auto (redis-server if it is
                       installed, else memory)
  --embedded-listen ADDRESS
                       of that Redis (default 127.0.0.1:6379)
  --embedded-dir FOLDER
                       for the data of that Redis, which survive a restart then

Other
  --config FILE        (default analytics-api.toml in the current folder, if it
                       exists)
  --check              check the configuration and exit
  --log-level LEVEL    debug (each request), info (default), warn or error
  --version            print the version and exit
  --help               print this text and exit

The file has more settings. A variable such as ANALYTICS_API_MAX_RECORDS overrides
the setting max_records of the file, and a flag overrides both. All settings are in
https://github.com/telegraf-describe/telegraf-describe/blob/main/cmd/analytics-api/analytics-api.toml

Exit status: 0 after SIGINT or SIGTERM; 1 after an error, which is on the standard
error.
`
