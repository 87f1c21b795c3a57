package describe_test

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// life is an aggregator with or without a state, which can be restarted.
type life struct {
	t *testing.T
	open
	kept   bool
	folder string
	last   bool // whether the next Push is the last one of the run
}

// start begins a run at the given time, under options that edit has changed.
func (l *life) start(at time.Time, edit func(*describe.Describe)) {
	l.open = stated(l.t, l.folder, at, func(d *describe.Describe) {
		if d.SetHost(describe.Host{Closes: true, IsLast: func() bool { return l.last }}); !l.kept {
			d.State = ""
		}
		if edit != nil {
			edit(d)
		}
	})
}

// restart ends the run, cleanly or by a crash, and begins another. It returns the rows of the last Push.
func (l *life) restart(crash bool, edit func(*describe.Describe)) (rows []telegraf.Metric) {
	if at := l.clock.now(); crash {
		l.Abandon()
		l.start(at, edit)
	} else {
		l.last = true
		rows = l.push()
		require.NoError(l.t, l.Close())
		l.last = false
		l.start(at, edit)
	}
	return rows
}

// linger lets all buckets become final and returns their rows.
func (l *life) linger() []telegraf.Metric {
	l.clock.set(l.clock.now().Add(10 * time.Minute))
	return l.push()
}

// becomesFinal adds two values to a bucket and makes it final.
func (l *life) becomesFinal() {
	l.values(bucketStart, 1.0, 2.0)
	l.push()
	require.Equal(l.t, []string{"final r0 n2"}, counts(l.linger()))
}

func (l *life) requireLate(n int64) {
	l.t.Helper()
	require.Empty(l.t, l.push())
	require.Equal(l.t, n, l.stat("values_late"))
}

// fates are the rows of the table "What happens to a value that …" in docs/time.md, and a test of each.
var fates = map[string]func(l *life){
	"is early: its bucket begins later than the clock": func(l *life) {
		l.restart(false, func(d *describe.Describe) { d.MaxFuture = config.Duration(2 * time.Hour) })
		l.values(l.clock.now().Add(time.Hour), 1.0)
		l.values(l.clock.now().Add(3*time.Hour), 1.0)
		require.Equal(l.t, []string{"open r0 n1"}, counts(l.push()))
		require.Equal(l.t, int64(1), l.stat("values_future"))
	},
	"comes from a clock that is a year ahead": func(l *life) {
		ahead := l.clock.now().AddDate(1, 0, 0)
		l.values(ahead, 1.0)
		l.push()
		require.Equal(l.t, []string{"final r0 n1"}, counts(l.linger()))
		l.push()
		require.Zero(l.t, l.stat("buckets_open"), "it does not hold memory")
		l.clock.set(ahead)
		l.values(ahead, 2.0)
		if l.kept {
			require.Equal(l.t, []string{"open r1 n2"}, counts(l.push()))
		} else {
			l.requireLate(1)
		}
	},
	"arrives late, but its bucket is still open": func(l *life) {
		l.values(bucketStart, 1.0)
		l.push()
		l.clock.set(l.clock.now().Add(9 * time.Minute))
		l.values(bucketStart, 2.0)
		require.Equal(l.t, []string{"open r0 n2"}, counts(l.push()))
	},
	"is for a bucket that is final": func(l *life) {
		l.becomesFinal()
		l.values(bucketStart, 3.0)
		if !l.kept {
			l.requireLate(1)
			return
		}
		l.push()
		require.Equal(l.t, []string{"final r1 n3"}, counts(l.linger()))
	},
	"is for a bucket that was never open, however old": func(l *life) {
		l.becomesFinal()
		l.values(time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), 3.0)
		require.Equal(l.t, []string{"open r0 n1"}, counts(l.push()))
	},
	"is for a bucket that has been final for longer than `state_retention`": func(l *life) {
		l.becomesFinal()
		if l.kept {
			require.Eventually(l.t, func() bool { return l.Store().Stats().Pending == 0 }, 2*time.Minute, time.Millisecond)
		}
		l.clock.set(l.clock.now().AddDate(0, 0, 9))
		l.push()
		l.push() // the store removes the bucket in the background, as its rows have left before the Push before this one
		if l.kept {
			require.Eventually(l.t, func() bool { return l.Store().Stats().Expired == 1 }, 2*time.Minute, time.Millisecond)
		}
		l.values(bucketStart, 3.0)
		l.requireLate(1)
		l.restart(false, nil)
		l.values(bucketStart, 3.0)
		if l.kept {
			l.requireLate(1)
		} else {
			require.Equal(l.t, []string{"open r0 n1"}, counts(l.push()))
		}
	},
	"is for a bucket that became final before options changed": func(l *life) {
		l.becomesFinal()
		l.restart(false, func(d *describe.Describe) { d.Booleans = "ignore" })
		l.values(bucketStart, 3.0)
		want := "open r0 n1"
		if l.kept {
			want = "open r1 n3"
		}
		require.Equal(l.t, []string{want}, counts(l.push()))
	},
	"arrives twice": func(l *life) {
		l.values(bucketStart, 1.0)
		l.values(bucketStart, 1.0)
		require.Equal(l.t, []string{"open r0 n2"}, counts(l.push()))
	},
	"arrived before a clean stop or a reload": func(l *life) {
		l.values(bucketStart, 1.0, 2.0)
		last := counts(l.restart(false, nil))
		l.values(bucketStart, 3.0)
		if l.kept {
			require.Equal(l.t, []string{"open r0 n2"}, last)
			require.Equal(l.t, []string{"open r0 n3"}, counts(l.push()))
		} else {
			require.Equal(l.t, []string{"final r0 n2"}, last)
			require.Equal(l.t, []string{"open r0 n1"}, counts(l.push()))
		}
	},
	"arrived before a crash": func(l *life) {
		l.values(bucketStart, 1.0, 2.0)
		require.Equal(l.t, []string{"open r0 n2"}, counts(l.push()))
		l.values(bucketStart, 9.0) // in the period of the crash
		l.restart(true, nil)
		l.values(bucketStart, 3.0)
		want := "open r0 n1"
		if l.kept {
			want = "open r0 n3"
		}
		require.Equal(l.t, []string{want}, counts(l.push()))
	},
	"is NaN or infinite": func(l *life) {
		l.values(bucketStart, math.NaN(), math.Inf(1), math.Inf(-1))
		require.Empty(l.t, l.push())
		require.Equal(l.t, int64(3), l.stat("values_nan"))
	},
}

func TestTheTableOfTheDocumentationIsTrue(t *testing.T) {
	for value, test := range fates {
		for _, kept := range []bool{false, true} {
			name := value + ", without state"
			if kept {
				name = value + ", with state"
			}
			t.Run(name, func(t *testing.T) {
				l := &life{t: t, kept: kept, folder: t.TempDir()}
				l.start(time.Unix(1_800_000_000, 0), nil)
				test(l)
			})
		}
	}
}

func TestEveryRowOfTheTableOfTheDocumentationHasATest(t *testing.T) {
	text, err := os.ReadFile("../../../docs/time.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| a value that | without `state` | with `state` |\n|---|---|---|\n")
	require.True(t, found)
	var rows, tested []string
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		rows = append(rows, strings.TrimSpace(strings.Split(line, "|")[1]))
	}
	for value := range fates {
		tested = append(tested, value)
	}
	require.ElementsMatch(t, rows, tested)
}
