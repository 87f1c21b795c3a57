package api

// readProblems are the problems of a route that reads Redis.
var readProblems = []problemKind{tooFast, overloaded, noAnswer}

// problems returns all problems of a route, in the order of problemKinds. Those of other methods are not among them.
func (s *server) problems(rt route) (kinds []problemKind) {
	has := map[problemKind]bool{
		badRequest: !rt.anyQuery, needsToken: s.Tokens != nil && !rt.scope.isOpen(), otherHost: s.CheckHost, internalError: true,
		notPermitted: s.Tokens != nil && !rt.scope.isOpen() && rt.scope != scopeAny,
		tooFast:      s.AddressRate > 0 && rt.scope != scopeOpen || s.TokenRate > 0 && !rt.scope.isOpen(),
	}
	for _, kind := range rt.docs.problems {
		has[kind] = true
	}
	for kind := range problemKinds {
		if has[problemKind(kind)] {
			kinds = append(kinds, problemKind(kind))
		}
	}
	return kinds
}

func databasesDocs() docs {
	return docs{
		id: "databases", summary: "List the databases",
		about:    "All databases that have tables and that the token allows, by name.",
		answers:  []answerDoc{{contentType: "application/json", schema: "Databases", about: "The databases."}},
		problems: readProblems,
		examples: []exampleDoc{{"All databases", "/databases"}},
	}
}

func tablesDocs() docs {
	return docs{
		id: "tables", summary: "List the tables of a database",
		about:    "The tables of a database by name, with their fields, the keys of their tags, and their first and last bucket.",
		answers:  []answerDoc{{contentType: "application/json", schema: "Tables", about: "The tables."}},
		problems: append([]problemKind{nothingFound}, readProblems...),
		examples: []exampleDoc{{"All tables", "/analytics?database=mydb"}},
	}
}

func recordsDocs() docs {
	return docs{
		id: "records", summary: "Read the records of a table",
		about: "The records of a table, ascending by bucket. A record has the statistics of one field of one series in one bucket of time.\n\n" +
			"With one of the parameters `group_by`, `bucket`, `timezone`, `stats`, `method` and `share_le`, the answer is a roll-up: it is made by merging " +
			"the summaries of the stored records, never by averaging percentiles. Rows need summaries for that: " +
			"`emit_summary = \"compact\"` in `[[aggregators.describe]]`.",
		answers: []answerDoc{
			{contentType: "application/json", schema: "Records", about: "The records as a JSON array."},
			{contentType: "application/jsonl", about: "A record as JSON on each line."},
			{contentType: "text/csv", about: "A line of names, and a line for each record. Each member that a record has is a column. " +
				"A text that a spreadsheet would run as a formula has an apostrophe in front."},
			{contentType: "text/plain", about: "Line protocol of InfluxDB."},
		},
		conditional: true,
		problems:    append([]problemKind{nothingFound, noFormat, noSummaries, beyondLimit, corruptData}, readProblems...),
		examples: []exampleDoc{
			{"The newest bucket", "/analytics/cpu?database=mydb&last=1"},
			{"One field of one host in the last six hours", "/analytics/cpu?database=mydb&field=usage_idle&tag=host=a&start=-6h&last=1"},
			{"Hourly percentiles of each host, as CSV", "/analytics/cpu?database=mydb&bucket=1h&group_by=host&stats=count,p50,p99.9&format=csv"},
			{"The share of values up to 99.5 on each day in Berlin",
				"/analytics/cpu?database=mydb&bucket=1d&timezone=Europe/Berlin&group_by=&share_le=99.5&stats=count"},
		},
	}
}

func streamDocs() docs {
	return docs{
		id: "stream", summary: "Receive changed buckets",
		about: "Server-sent events. Each has the records of a changed bucket, or is one of:\n\n" +
			"- `present`: what is read after this event is at least as new\n" +
			"- `reset`: changes may have been missed, so everything must be read again\n" +
			"- `dropped`: the service ends the stream; the data has the `reason`\n\n" +
			"The data of `bucket` has `time_bucket`, and in `records` all records of the bucket that the request wants; of more than 256 KiB " +
			"`large: true` instead. Every 15 seconds there is a comment.",
		headers: []parameter{{
			name: "Last-Event-ID", examples: []string{"0"},
			about: "The id of the last event that the client got. The stream begins with the buckets that have changed since, or with `reset`.",
		}},
		answers:  []answerDoc{{contentType: "text/event-stream", about: "The events, until the client or the service ends the stream."}},
		problems: append([]problemKind{nothingFound, corruptData}, readProblems...),
		examples: []exampleDoc{{"All changes of one field", "/analytics/cpu/stream?database=mydb&field=usage_idle"}},
	}
}

func healthDocs() docs {
	return docs{
		id: "health", summary: "Check that the service runs",
		about: "The status is 200 while the service runs, also if Redis does not. " +
			"Where tokens are needed, only a request with a valid one gets the details.",
		answers:  []answerDoc{{contentType: "application/json", schema: "Health", about: "The service runs."}},
		examples: []exampleDoc{{"A probe", "/health"}},
	}
}

func readyDocs() docs {
	return docs{
		id: "ready", summary: "Check that records can be read",
		about:    "The status is 200 while Redis answers, and else 503. The answer has warnings about settings of Redis with which it can lose records.",
		answers:  []answerDoc{{contentType: "application/json", schema: "Ready", about: "Redis answers."}},
		problems: []problemKind{noAnswer},
		examples: []exampleDoc{{"A probe", "/ready"}},
	}
}

func metricsDocs() docs {
	return docs{
		id: "metrics", summary: "Scrape the service",
		about:    "Metrics of the service itself for Prometheus: requests by route and status, refused requests by reason, memory.",
		answers:  []answerDoc{{contentType: "text/plain", about: "The text format of Prometheus."}},
		examples: []exampleDoc{{"A scrape", "/metrics"}},
	}
}

func exportDocs() docs {
	return docs{
		id: "export", summary: "Scrape the newest records",
		about:    "The newest final record of each series of the tables in `[[export]]`, as gauges for Prometheus.",
		answers:  []answerDoc{{contentType: "text/plain", about: "The text format of Prometheus."}},
		problems: append([]problemKind{corruptData}, readProblems...),
		examples: []exampleDoc{{"A scrape", "/metrics/analytics"}},
	}
}

func indexDocs() docs {
	return docs{
		id: "index", summary: "List the addresses",
		about:    "The version of the service and the addresses of its routes.",
		answers:  []answerDoc{{contentType: "application/json", schema: "Index", about: "The addresses."}},
		examples: []exampleDoc{{"The addresses", "/"}},
	}
}
