package main

import "github.com/telegraf-describe/telegraf-describe/internal/buildinfo"

// version is the semantic version of telegraf-describe. The linker sets it; it is empty in other builds.
var version string

// telegrafVersion is the version of Telegraf in go.mod. The linker sets upstream's internal.Version to it and a suffix.
const telegrafVersion = "1.39.3"

// versions returns the version of telegraf-describe and that of Telegraf, for users: "telegraf-describe 1.2.0 (Telegraf 1.39.3)".
func versions() string {
	return "telegraf-describe " + buildinfo.Version(version) + " (Telegraf " + telegrafVersion + ")"
}

// userAgent identifies this program to servers of configurations, in the form of upstream. It is
// "Telegraf/1.39.3-describe", to which Telegraf adds the version of Go when it loads the configuration itself.
func userAgent() string { return "Telegraf/" + telegrafVersion + "-describe" }
