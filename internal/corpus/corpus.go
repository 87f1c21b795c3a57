// Package corpus generates the line protocol in the folder testdata: several kinds of data with difficult values or
// names. The random numbers have fixed seeds, so the files are always the same.
//
//	sensors.lp   steps, flags, constants     many equal values: exact summaries stay small, modes matter
//	solar.lp     zeros and a daily curve     buckets of different spread, lines of one time in any order
//	latency.lp   a heavy tail                quantiles far from the mean, histograms
//	awkward.lp   escapes, clashing names     what line protocol and the names of fields can carry
//
// A test compares the files with the result of [Files], so that neither changes alone. The expected results of several packages
// depend on each byte.
package corpus

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// start is the time of the first line of every corpus.
var start = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

// Files returns the content of every file by its name. Every call returns the same content, in memory of its own.
func Files() map[string][]byte {
	return map[string][]byte{
		"sensors.lp": sensors(),
		"solar.lp":   solar(),
		"latency.lp": latency(),
		"awkward.lp": awkward(),
	}
}

// source returns the source of random numbers for one file.
func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6465736372696265)) }

// line writes one line of line protocol. It appends the time in nanoseconds to the formatted text.
func line(b *bytes.Buffer, at time.Time, format string, args ...any) {
	fmt.Fprintf(b, format, args...)
	fmt.Fprintf(b, " %d\n", at.UnixNano())
}

// sensors returns data of four devices that report every 30 s for two hours: values in steps, flags, a counter that
// starts again, a constant, and a field that is sometimes missing.
func sensors() []byte {
	r, b := source(1), &bytes.Buffer{}
	counters := make([]int, 4)
	for tick := range 240 {
		at := start.Add(time.Duration(tick) * 30 * time.Second)
		for device := range counters {
			counters[device] += r.IntN(7)
			if r.IntN(200) == 0 {
				counters[device] = 0
			}
			temperature := math.Round((20+float64(device)+3*math.Sin(float64(tick)/40)+r.NormFloat64()/5)*10) / 10
			fields := fmt.Sprintf("temperature=%v,humidity=%v,packets=%di,motion=%t,setpoint=21.5",
				temperature, math.Round(40+r.NormFloat64()*2), counters[device], r.IntN(5) == 0)
			if r.IntN(10) > 0 {
				fields += fmt.Sprintf(",battery=%di,status=\"ok\"", 100-tick/60)
			}
			line(b, at, "sensors,device=d%d,room=%s %s", device, []string{"kitchen", "attic"}[device%2], fields)
		}
	}
	return b.Bytes()
}

// solar returns data of three inverters that report every 15 min for six days: zero at night, a curve by day, clouds,
// and a total that only grows. Lines with the same timestamp are in random order.
func solar() []byte {
	r, b := source(2), &bytes.Buffer{}
	totals := []float64{6e6, 6.5e6, 7e6}
	for tick := range 6 * 96 {
		at := start.Add(time.Duration(tick) * 15 * time.Minute)
		day := math.Max(0, math.Sin((float64(tick%96)/96-.25)*2*math.Pi))
		for _, i := range r.Perm(len(totals)) {
			dc := math.Round(day*14000*(1-.4*r.Float64())*1e4) / 1e4
			totals[i] += math.Round(dc * .0245)
			line(b, at, "solar,source_key=inverter%d plant_id=4135001,dc_power=%v,ac_power=%v,total_yield=%v", i, dc, math.Round(dc*.0978*1e4)/1e4, totals[i])
		}
	}
	return b.Bytes()
}

// latency returns the response times and sizes of two services over an hour, at random times. The response times are
// lognormal with a heavy tail.
func latency() []byte {
	r, b := source(3), &bytes.Buffer{}
	at := start
	for range 2500 {
		at = at.Add(time.Duration(r.ExpFloat64() * float64(1400*time.Millisecond)))
		seconds := math.Exp(r.NormFloat64()*.8 - 3)
		if r.IntN(100) == 0 {
			seconds *= math.Pow(r.Float64(), -1.5)
		}
		line(b, at, "latency,service=%s seconds=%.6f,bytes=%du", []string{"api", "web"}[r.IntN(2)], seconds, r.IntN(1<<20))
	}
	return b.Bytes()
}

// awkward returns lines with difficult names: escapes, Unicode, braces, colons, percent signs, and tags with the
// names of statistics and of columns of describe. They also have strings that look like numbers, and every type of
// field.
func awkward() []byte {
	r, b := source(4), &bytes.Buffer{}
	series := []string{
		`with\ space\,and\,comma,tag\ key=tag\ value\,a\=b %s`,
		`{brace}:colon,host=a:b\,{c} %s`,
		`ünï-😀,größe=ß\ 😀 %s`,
		`percent%%41%%2F,path=/var/log/%%7Bx%%7D %s`,
		`quote"s,say="hi" %s`,
		`clash,field_name=mine,time=noon,time_bucket=b,table_name=t,summary=s,count=c,mean=m,median=d,p95=q,p99_9=r,mode_count=k %s`,
		`clash,count=c2,count_tag=other %s`,
		`back,path=C:\dir,end=x\\y %s`,
		`slash/and.dot,a.b/c=d %s`,
	}
	fields := []string{`field\ one=%v`, `f\,2=%v`, `f\=3=%v`, `{f}:4=%v`, `ƒ😀=%v`, `f%%5=%v`, `f"6=%v`, `count=%v`, `time_bucket=%v`, `fields=%v`, `max=%v`}
	for tick := range 40 {
		at := start.Add(time.Duration(tick) * time.Minute)
		for i, s := range series {
			field := fields[(tick+i)%len(fields)]
			values := fmt.Sprintf(field, math.Round(r.NormFloat64()*1e3)/1e3)
			values += fmt.Sprintf(`,int=%di,uint=%du,bool=%t,text="12",nan="nan",underscore="1_000"`, r.IntN(100)-50, r.Uint32(), r.IntN(2) == 0)
			line(b, at, s, values)
		}
	}
	return b.Bytes()
}
