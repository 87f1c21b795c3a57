package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/plugins/outputs"
	"github.com/influxdata/toml/ast"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
)

// generalTypes are the types of options that Telegraf reads itself. It ignores a number as a period, and a text as a limit, without an
// error.
var generalTypes = map[string]reflect.Type{
	"alias": reflect.TypeFor[string](), "delay": reflect.TypeFor[time.Duration](), "drop_original": reflect.TypeFor[bool](),
	"fieldexclude": reflect.TypeFor[[]string](), "fieldinclude": reflect.TypeFor[[]string](), "flush_interval": reflect.TypeFor[time.Duration](),
	"grace": reflect.TypeFor[time.Duration](), "metric_batch_size": reflect.TypeFor[int](), "metric_buffer_limit": reflect.TypeFor[int](),
	"name_override": reflect.TypeFor[string](), "name_prefix": reflect.TypeFor[string](), "name_suffix": reflect.TypeFor[string](),
	"namedrop": reflect.TypeFor[[]string](), "namepass": reflect.TypeFor[[]string](), "period": reflect.TypeFor[time.Duration](),
	"tagexclude": reflect.TypeFor[[]string](), "taginclude": reflect.TypeFor[[]string](),
}

// checkTypes returns an error with the options of our blocks whose value has the wrong type, or is not a duration or size that the
// option needs. Telegraf's own errors for these contain Go types, and no example.
func checkTypes(sources []source) error {
	plugins := map[string]any{
		"aggregators.describe": aggregators.Aggregators["describe"](), "outputs.rediscache": outputs.Outputs["rediscache"](),
	}
	var errs []error
	for _, s := range sources {
		for _, b := range s.blocks {
			if plugins[b.Plugin()] == nil {
				continue
			}
			for _, err := range typeErrors(plugins[b.Plugin()], b.Table, s.text) {
				errs = append(errs, fmt.Errorf("%s:%d: %s: %w", s.path, b.Line(option.Of(err)), b.Plugin(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// The types are those of the Go struct of the plugin, as the TOML library of Telegraf decodes into it: no list of them has to be kept up to
// date. An option that has neither a type here nor one of generalTypes is left to Telegraf. Three of the errors:
//
//	period = 30      invalid 'period' setting 30, want a duration in quotes; for example period = "30s"
//	bucket = 1       invalid 'bucket' setting 1, want a text in quotes; for example bucket = "10m"
//	stats = "mean"   invalid 'stats' setting "mean", want a list of texts in brackets; for example stats = ["mean"]
//
// The example of the last one is made of the value in the file, the others are those of the plugin.

// typeErrors returns an [option.Error] for each option of a table whose value does not suit the type that the plugin has for it, in the
// order of the names. text is the file of the table. Telegraf replaces variables later, so of a value in a line with one only that is
// checked: see variableErrors.
func typeErrors(plugin any, table *ast.Table, text []byte) (errs []error) {
	types := optionTypes(reflect.TypeOf(plugin).Elem())
	maps.Copy(types, generalTypes)
	examples := option.Examples{"drop_original": "true"}
	if p, ok := plugin.(interface{ Examples() option.Examples }); ok {
		maps.Copy(examples, p.Examples())
	}
	lines := bytes.Split(text, []byte("\n"))
	for _, name := range slices.Sorted(maps.Keys(table.Fields)) {
		kv, ok := table.Fields[name].(*ast.KeyValue)
		t := types[name]
		if !ok || t == nil || kv.Line < 1 || kv.Line > len(lines) {
			continue
		}
		if bytes.ContainsAny(lines[kv.Line-1], "$@") {
			errs = append(errs, variableErrors(examples, name, t, kv.Value)...)
			continue
		}
		if want := misfit(t, kv.Value); want != "" {
			if _, isText := kv.Value.(*ast.String); isText && t == reflect.TypeFor[[]string]() {
				examples[name] = "[" + kv.Value.Source() + "]"
			}
			errs = append(errs, examples.Errorf(name, " %s, want %s", kv.Value.Source(), want))
		}
	}
	return errs
}

// variableErrors returns errors about the variables in a value, before Telegraf replaces them: a variable that is not set, and one
// in a text where the option is a number or a boolean. A password may have such characters: the plugin checks it.
//
//	prefix = "${PRE}"     invalid 'prefix' setting: the environment variable PRE is not set; …
//	max_series = "${N}"   invalid 'max_series' setting "${N}", want a whole number without quotes; outside of quotes, …
func variableErrors(x option.Examples, name string, t reflect.Type, value ast.Value) (errs []error) {
	texts := []ast.Value{value}
	if list, ok := value.(*ast.Array); ok {
		texts = list.Value
	}
	for _, v := range texts {
		text, ok := v.(*ast.String)
		if !ok || t == reflect.TypeFor[config.Secret]() {
			continue
		}
		unset := x.UnsetIn(name, strings.ReplaceAll(text.Value, "$$", "")) // Telegraf replaces "$$" by a "$" that is no variable
		switch want := misfit(t, value); {
		case want != "" && (t.Kind() == reflect.Bool || t.Kind() == reflect.Int):
			errs = append(errs, x.Errorf(name, " %s, want %s; outside of quotes, variables are replaced only with --non-strict-env-handling",
				value.Source(), want))
		case unset != nil:
			errs = append(errs, unset)
		}
	}
	return errs
}

// misfit returns the kind of value that an option of that type needs, or "" if the value is of that kind. It accepts every value
// for types other than those below, because Telegraf checks them. A pointer to a type counts as the type.
//
// A time.Duration is one of Telegraf's general options, which it parses with [time.ParseDuration]: "24h" but not "1d". A [config.Duration]
// accepts "1d", and a number as seconds.
func misfit(t reflect.Type, value ast.Value) string {
	text, isText := value.(*ast.String)
	_, isNumber := value.(*ast.Integer)
	_, isFloat := value.(*ast.Float)
	_, isTruth := value.(*ast.Boolean)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		if !isText {
			return "a duration in quotes"
		}
		if _, err := time.ParseDuration(text.Value); err != nil {
			return "a duration with the units ms, s, m and h"
		}
	case reflect.TypeFor[config.Duration]():
		if !isNumber && !isFloat && (!isText || new(config.Duration).UnmarshalText([]byte(text.Value)) != nil) {
			return "a duration with the units ms, s, m, h and d"
		}
	case reflect.TypeFor[config.Size]():
		if !isNumber && (!isText || new(config.Size).UnmarshalText([]byte(text.Value)) != nil) {
			return "a size with the units KiB, MiB and GiB"
		}
	case reflect.TypeFor[string](), reflect.TypeFor[config.Secret]():
		if !isText {
			return "a text in quotes"
		}
	case reflect.TypeFor[int](), reflect.TypeFor[int64]():
		if !isNumber {
			return "a whole number without quotes"
		}
	case reflect.TypeFor[bool]():
		if !isTruth {
			return "true or false"
		}
	case reflect.TypeFor[[]string]():
		if !isTexts(value) {
			return "a list of texts in brackets"
		}
	}
	return ""
}

// isTexts reports whether a value is a list of texts only.
func isTexts(value ast.Value) bool {
	list, ok := value.(*ast.Array)
	return ok && !slices.ContainsFunc(list.Value, func(v ast.Value) bool { _, text := v.(*ast.String); return !text })
}
