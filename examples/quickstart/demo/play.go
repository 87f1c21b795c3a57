package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// speed is the ratio of the recorded time to the time of playing. Fields keep their values; only the times between lines are shorter.
const speed = 5

// A recording is line protocol with the times of the day when it was recorded:
//
//	latency,service=web seconds=0.042153,bytes=182046u 1709251200816342358
//	latency,service=web seconds=0.034532,bytes=522475u 1709251203694080323
//
// Played, the first line has the time of the start and the second one 0.58 s later, a fifth of 2.88 s. telegraf-describe reads the file
// while it grows, by inputs.tail.

// line is a line of line protocol without its time.
type line struct {
	text  string        // without the space before the time
	after time.Duration // since the first line, at the speed of playing
}

// play appends the lines of a recording to a file, each at its time, as if the recording began now. After the last line
// it begins again. It returns when the file exists, and appends lines until ctx ends, in a goroutine that nobody waits for: the
// folder of the file may be removed meanwhile.
func play(ctx context.Context, from, to string) error {
	lines, err := read(from)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	go func() {
		defer out.Close()
		for {
			start := time.Now()
			for _, l := range lines {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(start.Add(l.after))):
				}
				fmt.Fprintf(out, "%s %d\n", l.text, start.Add(l.after).UnixNano())
			}
		}
	}()
	return nil
}

// read reads a recording that is sorted by time. Each line has a time in nanoseconds and at most 64 KiB. An empty recording is an error,
// because play would repeat it without a pause.
func read(path string) ([]line, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []line
	var first int64
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		text := scanner.Text()
		space := strings.LastIndexByte(text, ' ')
		at, err := strconv.ParseInt(text[space+1:], 10, 64)
		if err != nil || space < 0 {
			return nil, fmt.Errorf("%s: line %q has no time", path, text)
		}
		if len(lines) == 0 {
			first = at
		}
		lines = append(lines, line{text[:space], time.Duration(at-first) / speed})
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s has no lines", path)
	}
	return lines, nil
}
