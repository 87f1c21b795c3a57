//go:build unix

package describefile_test

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/describefile"
)

// childVariable makes the test binary run the command, so that benchmarks measure a process of its own.
const childVariable = "DESCRIBE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(describefile.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// readings writes a CSV and the same rows as line protocol: a time every 10 s for 100 hosts, and 10 numeric columns. Six of
// these are continuous with 6 decimals; the others are small integers, halves, a constant and a counter.
func readings(tb testing.TB, rows int) (csvPath, lpPath string) {
	tb.Helper()
	dir := tb.TempDir()
	csvPath, lpPath = filepath.Join(dir, "readings.csv"), filepath.Join(dir, "readings.lp")
	csvFile, err := os.Create(csvPath)
	require.NoError(tb, err)
	lpFile, err := os.Create(lpPath)
	require.NoError(tb, err)
	asCSV, asLP := bufio.NewWriter(csvFile), bufio.NewWriter(lpFile)
	r := rand.New(rand.NewPCG(1, 1))
	fmt.Fprintln(asCSV, "time,host,f1,f2,f3,f4,f5,f6,small,half,const,counter")
	for i := range rows {
		at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i/100) * 10 * time.Second)
		f := []float64{r.NormFloat64()*5 + 20, r.Float64() * 100, r.ExpFloat64() * 10, r.NormFloat64()*50 + 1000, r.Float64(), math.Exp(r.NormFloat64())}
		small, half := r.IntN(20), float64(r.IntN(200))/2
		fmt.Fprintf(asCSV, "%s,host%02d,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%d,%.1f,21.5,%d\n",
			at.Format(time.RFC3339), i%100, f[0], f[1], f[2], f[3], f[4], f[5], small, half, i)
		fmt.Fprintf(asLP, "readings,host=host%02d f1=%.6f,f2=%.6f,f3=%.6f,f4=%.6f,f5=%.6f,f6=%.6f,small=%di,half=%.1f,const=21.5,counter=%di %d\n",
			i%100, f[0], f[1], f[2], f[3], f[4], f[5], small, half, i, at.UnixNano())
	}
	require.NoError(tb, asCSV.Flush())
	require.NoError(tb, asLP.Flush())
	require.NoError(tb, csvFile.Close())
	require.NoError(tb, lpFile.Close())
	return csvPath, lpPath
}

// neighbour is a program that does the same as a query of ours. %s is replaced by the path of the CSV.
type neighbour struct {
	name, query string
	command     []string
	probe       []string // succeeds if the program is there
}

const duckRun = `const {DuckDBInstance}=require('@duckdb/node-api');(async()=>{const c=await (await DuckDBInstance.create()).connect();` +
	`const r=await c.runAndReadAll(process.argv[2]);if(r.getRows().length<10)process.exit(1)})()`

func neighbours() []neighbour {
	var columns []string
	for _, c := range strings.Fields("f1 f2 f3 f4 f5 f6 small half const counter") {
		columns = append(columns, strings.ReplaceAll("count(\"X\"),min(\"X\"),max(\"X\"),avg(\"X\"),median(\"X\"),mode(\"X\"),quantile_cont(\"X\",0.95)", "X", c))
	}
	byHour := "SELECT date_trunc('hour', time) AS h," + strings.Join(columns, ",") + " FROM read_csv('%s') GROUP BY h ORDER BY h"
	duckProbe := []string{"node", "-e", "require.resolve('@duckdb/node-api')"}
	pandasProbe := []string{"/usr/bin/python3", "-c", "import pandas"}
	return []neighbour{
		{"duckdb", "whole", []string{"node", "-e", duckRun, "-", "SUMMARIZE SELECT * FROM read_csv('%s')"}, duckProbe},
		{"duckdb", "hour", []string{"node", "-e", duckRun, "-", byHour}, duckProbe},
		{"pandas", "whole", []string{"/usr/bin/python3", "-c", "import pandas as p;d=p.read_csv('%s');d.describe();d.mode()"}, pandasProbe},
		{"pandas", "hour", []string{
			"/usr/bin/python3", "-c",
			"import pandas as p;d=p.read_csv('%s',parse_dates=['time']);d.groupby(d.time.dt.floor('h')).describe()",
		}, pandasProbe},
		{"mlr", "whole", []string{"mlr", "--icsv", "--ojson", "summary", "%s"}, []string{"mlr", "--version"}},
	}
}

// BenchmarkNeighbours measures whole processes that describe a file of DESCRIBE_ROWS rows (1,000,000 by default), as a
// whole and by hour: this command, and those of DuckDB, pandas and Miller that are installed. DuckDB is looked for as the
// npm package @duckdb/node-api, in NODE_PATH.
func BenchmarkNeighbours(b *testing.B) {
	rows := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("DESCRIBE_ROWS")); err == nil {
		rows = n
	}
	csvPath, lpPath := readings(b, rows)
	self, err := os.Executable()
	require.NoError(b, err)
	ours := func(name string, procs int, args ...string) {
		b.Run(name, func(b *testing.B) {
			measure(b, []string{childVariable + "=1", fmt.Sprintf("GOMAXPROCS=%d", procs)}, append([]string{self, "-o", "csv"}, args...))
		})
	}
	for _, procs := range []int{1, 2} {
		suffix := fmt.Sprintf("/procs=%d", procs)
		ours("tool=describe/format=csv/query=whole"+suffix, procs, csvPath)
		ours("tool=describe/format=csv/query=hour"+suffix, procs, "--by", "1h", csvPath)
		ours("tool=describe/format=lp/query=hour"+suffix, procs, "--by", "1h", lpPath)
	}
	ours("tool=describe/format=csv/query=whole/accuracy=auto", 2, "--accuracy", "auto", csvPath)
	for _, n := range neighbours() {
		b.Run("tool="+n.name+"/format=csv/query="+n.query, func(b *testing.B) {
			if err := exec.Command(n.probe[0], n.probe[1:]...).Run(); err != nil {
				b.Skipf("%s is not installed: %v", n.name, err)
			}
			command := make([]string, len(n.command))
			for i, arg := range n.command {
				command[i] = strings.ReplaceAll(arg, "%s", csvPath)
			}
			measure(b, nil, command)
		})
	}
}

// measure runs a command and reports its time, the processor time and the memory it takes.
func measure(b *testing.B, env, command []string) {
	b.Helper()
	var cpu time.Duration
	var peak int64
	for b.Loop() {
		c := exec.Command(command[0], command[1:]...)
		c.Env = append(os.Environ(), env...)
		output, err := c.CombinedOutput()
		require.NoError(b, err, string(output))
		cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
			peak = max(peak, int64(usage.Maxrss)) //nolint:unconvert // it has 32 bits on 32-bit systems
		}
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(peak)/1000, "peak-MB")
}
