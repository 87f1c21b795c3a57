package describefile

// usage is written below each error of the options.
const usage = "usage: telegraf-describe describe [options] FILE… (--help lists the options)"

// Help is the answer to --help. A test looks for each option in it, and for lines that are too wide for a terminal.
const Help = `Describe the columns of files: count, missing and distinct values, min, max,
mean, median, mode, percentiles and more, as describe() of pandas does.

usage: telegraf-describe describe [options] FILE…

FILE is line protocol, CSV (also with tabs, semicolons or bars) or JSON objects,
one after the other or in an array, plain or compressed with gzip or zstd; - is
the standard input. The format, the header, the delimiter and the types of the
columns are detected.

What to describe
  --by WIDTH          one row for each bucket of time: 30s, 15m, 1h, 1d, 1w,
                      1mo, 1y
  --tz ZONE           time zone of days, of times without an offset, and of
                      the output, such as Europe/Berlin (default UTC)
  --origin TIME       a time at which a bucket starts, such as
                      2026-01-01T00:00:00Z
  --group-by NAME,…   one row for each combination of the values of these tags
                      or columns; globs are allowed, and * is all tags
  --columns NAME,…    describe only these columns; globs such as 'temp*' are
                      allowed (also --fields)
  --text NAME,…       read these columns as text, such as numbers that are names
  --time NAME         the column with the time (default: detected), such as
                      2026-12-31T23:59:00+01:00, 31.12.2026 23:59 or a
                      number since 1970
  --time-unit UNIT    of times that are numbers: s, ms, us or ns (default auto:
                      by their size; line protocol: ns)

What to compute
  --stats NAME,…      type, count, missing, distinct, min, max, sum, mean,
                      range, stddev, variance, median, mode, mode_count,
                      mode_error, p<q> (such as p99.9), iqr, first, last,
                      max_error, top, top_count, or all
  --quantile-method M linear (default, as NumPy), nearest_rank or floor_rank
  --accuracy exact    (default) keep every value; auto: histograms beyond 512
                      values per column and group, in bounded memory
  --memory-limit SIZE beyond it, columns become estimates (default 1GiB)

How to read
  --format NAME       lp, csv, tsv or jsonl (default auto)
  --delimiter CHAR    of CSV; "tab" for a tab
  --decimal MARK      of numbers of CSV: point, comma (as in 1,5), or auto
                      (default: detected); the other mark may group
                      thousands, as in 1.234,5
  --header            the first line has the names of the columns
  --no-header         the first line is data; the columns are c1, c2, …
  --strict            end at the first line that cannot be read, or that has
                      too few cells

How to write
  -o, --output FORM   table (default), csv, json, jsonl, markdown or lp
  --transpose         a column for each row of the table
  --width N           of the table, at least 20, or 0 for no limit (default:
                      that of the terminal, or 80)
  --quiet             no notes, no progress
  --workers N         goroutines, 1 to 256 (default: one for each core)

Exit status: 0 if the files were described, even if some lines could not be
read (these are counted on the standard error); 1 if a file cannot be read, if
no line can, or at a bad line with --strict; 2 for wrong options; 130 after
Ctrl-C. Unless it is 0, nothing is written to the standard output.
`
