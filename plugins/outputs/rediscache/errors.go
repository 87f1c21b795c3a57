package rediscache

import (
	"reflect"

	"github.com/redis/go-redis/v9"
)

// isPermanent reports whether every further write of the table would fail too, because one of its keys has another type.
// Temporary errors, and those that an operator can correct (credentials, memory), are not permanent.
func isPermanent(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// Telegraf recognizes these errors by the types of an internal package, which other modules cannot import. So the
// method As fills a target of such a type by the names of its fields: see
// https://github.com/influxdata/telegraf/blob/v1.39.3/internal/errors.go
//
// Telegraf asks like this, and [errors.As] calls the method As with &e:
//
//	var e *internal.PartialWriteError
//	if errors.As(err, &e) { …

// startupError has the content of Telegraf's internal.StartupError.
type startupError struct {
	err   error
	retry bool // whether a second Connect may succeed
}

func (e *startupError) Error() string { return e.err.Error() }
func (e *startupError) Unwrap() error { return e.err }

// As fills a target of type **internal.StartupError.
func (e *startupError) As(target any) bool {
	return fill(target, "StartupError", map[string]any{"Err": e.err, "Retry": e.retry})
}

// partialError has the content of Telegraf's internal.PartialWriteError. The indices are those of the metrics in the argument
// of Write. Telegraf removes accepted and rejected metrics from its buffer, and writes the others again.
type partialError struct {
	err            error
	accept, reject []int
	reasons        []error // one for each of reject
}

func (e *partialError) Error() string { return e.err.Error() }
func (e *partialError) Unwrap() error { return e.err }

// As fills a target of type **internal.PartialWriteError.
func (e *partialError) As(target any) bool {
	return fill(target, "PartialWriteError", map[string]any{
		"Err": e.err, "MetricsAccept": e.accept, "MetricsReject": e.reject, "MetricsRejectErrors": e.reasons,
	})
}

// fill sets target, a pointer to a pointer to Telegraf's type of that name, to a new value with these fields. It returns
// false for any other target. It also does so if a version of Telegraf lacks one of the fields: the error is then like any other
// for Telegraf, which keeps the whole batch after an error of Write.
func fill(target any, name string, fields map[string]any) bool {
	pointer := reflect.ValueOf(target).Elem()
	if pointer.Kind() != reflect.Pointer {
		return false
	}
	t := pointer.Type().Elem()
	if t.Name() != name || t.PkgPath() != "github.com/influxdata/telegraf/internal" || t.Kind() != reflect.Struct {
		return false
	}
	value := reflect.New(t)
	for field, v := range fields {
		f := value.Elem().FieldByName(field)
		if !f.IsValid() || !reflect.TypeOf(v).AssignableTo(f.Type()) {
			return false
		}
		f.Set(reflect.ValueOf(v))
	}
	pointer.Set(value)
	return true
}
