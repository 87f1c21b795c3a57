// Package buildinfo finds out which version the running program has.
package buildinfo

import (
	"runtime/debug"
	"strings"
)

// unknown is the version of a program that was built without one.
const unknown = "unknown"

// Version returns the semantic version of the program, without the letter v. It is linked, the version that the linker
// set, unless that is empty. Then it is the version of the main module, which "go install …@v0.2.0" and builds in a Git
// checkout record, or unknown.
func Version(linked string) string {
	info, _ := debug.ReadBuildInfo()
	return version(linked, info)
}

// version is Version with the build information, which may be nil.
func version(linked string, info *debug.BuildInfo) string {
	switch {
	case linked != "":
		return linked
	case info == nil || info.Main.Version == "" || info.Main.Version == "(devel)":
		return unknown
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}
