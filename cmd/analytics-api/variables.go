package main

import (
	"errors"
	"reflect"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
)

// checkVariables returns an error for each setting that refers to an environment variable, because such references are not replaced,
// as they are in a telegraf.conf. It must be called before passwords are read from files: those may have any characters.
func (c *config) checkVariables() error {
	var errs []error
	settings := reflect.ValueOf(c).Elem()
	for i := range settings.NumField() {
		name := settings.Type().Field(i).Tag.Get("toml") // "" for fields that validate sets
		switch value := settings.Field(i); {
		case name == "":
		case value.Kind() == reflect.String:
			errs = append(errs, checkVariable(name, value.String()))
		case value.Type() == reflect.TypeFor[[]string]():
			for _, text := range value.Interface().([]string) { //nolint:forcetypeassert // it is this type
				errs = append(errs, checkVariable(name, text))
			}
		}
	}
	for _, e := range c.Export {
		errs = append(errs, checkVariable("export.database", e.Database), checkVariable("export.table", e.Table))
	}
	return errors.Join(errs...)
}

// checkVariable returns an error if the text of a setting refers to an environment variable or the home folder. A password may
// contain "$" and "{": only one that is nothing but a reference is an error. The error for a variable has no part of the text but
// its name. For example, "${USER_X}", "$HOME/x" and "~/x" are errors, and "v$session" and the password "pa${PW}x" are not.
func checkVariable(name, text string) error {
	variables := option.Variables(text)
	if strings.HasSuffix(name, "_password") {
		variables = strings.Fields(option.SecretVariable(text))
	}
	switch {
	case option.Home(text) && !strings.HasSuffix(name, "_password"):
		return invalid(name, " %q: \"~\" is not replaced here: write the whole path", text)
	case len(variables) == 0:
		return nil
	}
	instead := ""
	if !strings.HasPrefix(name, "export.") {
		instead = ", or set the environment variable " + envPrefix + strings.ToUpper(name)
	}
	return invalid(name, ": it has the variable %s, which is not replaced here: write the value%s", variables[0], instead)
}
