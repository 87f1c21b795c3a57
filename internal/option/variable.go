package option

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// variables matches the references to environment variables that a text cannot mean otherwise: ${NAME} anywhere, and $NAME as a
// whole text or a part of a path or URL. So "v$session" has none. ${NAME:-default} is none: it always gets a value.
var variables = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}|(?:^|/)\$([A-Za-z_][A-Za-z0-9_]*)(?:$|[/:])`)

// Variables returns the names of the environment variables to which a text refers, in their order.
func Variables(text string) (names []string) {
	for _, m := range variables.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1]+m[2])
	}
	return names
}

// Home reports whether a path begins with "~", which shells replace by the home folder of the user. Nothing replaces it in a
// configuration.
func Home(path string) bool {
	return path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, `~\`)
}

// SecretVariable returns the name of the environment variable that a password consists of, or "". A password may contain "$" and
// "${" otherwise, so only the whole text ${NAME} is a reference.
func SecretVariable(secret string) string {
	if m := variables.FindStringSubmatch(secret); m != nil && secret == "${"+m[1]+"}" {
		return m[1]
	}
	return ""
}

// Unset returns the first environment variable that is not set, or "". Telegraf leaves references to such variables in the
// text. A text that still refers to a variable that is set was written with "$$" and means itself.
func Unset(names ...string) string {
	for _, name := range names {
		if _, set := os.LookupEnv(name); name != "" && !set {
			return name
		}
	}
	return ""
}

// Unset returns nil if no text option of a plugin refers to an environment variable that is not set. Otherwise it joins an [Error] for
// each such option. plugin is a pointer to a struct whose options have the tag toml; the options of the names in except, and those that
// are neither a text nor a list of texts, are not checked.
func (x Examples) Unset(plugin any, except ...string) error {
	return x.unset(reflect.ValueOf(plugin).Elem(), except)
}

// unset is [Examples.Unset] for a struct. It also checks the options of embedded structs.
func (x Examples) unset(plugin reflect.Value, except []string) error {
	var errs []error
	for i := range plugin.NumField() {
		f := plugin.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch value := plugin.Field(i); {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			errs = append(errs, x.unset(value, except))
		case name == "" || name == "-" || slices.Contains(except, name):
		case f.Type.Kind() == reflect.String:
			errs = append(errs, x.UnsetIn(name, value.String()))
		case f.Type == reflect.TypeFor[[]string]():
			for _, text := range value.Interface().([]string) { //nolint:forcetypeassert // it is this type
				errs = append(errs, x.UnsetIn(name, text))
			}
		}
	}
	return errors.Join(errs...)
}

// UnsetIn returns nil if a text, the value of the option name, refers to no environment variable that is not set, and an [Error] otherwise.
func (x Examples) UnsetIn(name, text string) error {
	if missing := Unset(Variables(text)...); missing != "" {
		return x.Errorf(name, ": the environment variable %s is not set", missing) // without the text, which may be a URL with a password
	}
	return nil
}

// Prefer joins the errors of first, and those of others about options that no error of first is about: they follow from it.
func Prefer(first, others error) error {
	errs := All(first)
	about := make([]string, 0, len(errs))
	for _, err := range errs {
		about = append(about, Of(err))
	}
	for _, err := range All(others) {
		if name := Of(err); name == "" || !slices.Contains(about, name) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
