package api

import "net/http"

// readProblems are the problems of a route that reads Redis.
var readProblems = []problemKind{tooFast, overloaded, noAnswer}

// problems returns all problems of a route, in the order of problemKinds: those of its docs, and those that follow from its
// parameters and scope and from the settings of the service. For example, no route has the problem unauthorized while the service
// needs no tokens. Those of other methods are not among them.
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

// The following functions describe one route each, for server.routes. A test sends each example and compares the answer with examples.json.

// databasesDocs describes GET /databases.
func databasesDocs() docs {
	return docs{
		id: "databases", tag: tagRecords, summary: "List the databases",
		about:    "All databases that have tables and that the token allows, by name.",
		answers:  []answerDoc{{contentType: jsonType, schema: "Databases", about: "The databases."}},
		problems: append([]problemKind{corruptData}, readProblems...),
		examples: []exampleDoc{{summary: "All databases", address: "/databases"}},
	}
}

// tablesDocs describes GET /analytics.
func tablesDocs() docs {
	return docs{
		id: "tables", tag: tagRecords, summary: "List the tables of a database",
		about:    "The tables of a database by name, with their fields, the keys of their tags, and their first and last bucket.",
		answers:  []answerDoc{{contentType: jsonType, schema: "Tables", about: "The tables."}},
		problems: append([]problemKind{nothingFound, corruptData}, readProblems...),
		examples: []exampleDoc{{summary: "All tables", address: "/analytics?database=mydb"}},
	}
}

// recordsDocs describes GET /analytics/{table}. Its parameters are those of recordParameters.
func recordsDocs() docs {
	return docs{
		id: "records", tag: tagRecords, summary: "Read the records of a table",
		about: "The records of a table, ascending by bucket. A record has the statistics of one field of one series in one bucket of time.\n\n" +
			"With one of the parameters `group_by`, `bucket`, `timezone`, `stats`, `method` and `share_le`, the answer is a roll-up: it is made by merging " +
			"the summaries of the stored records, never by averaging percentiles. Rows need summaries for that: " +
			"`emit_summary = \"compact\"` in `[[aggregators.describe]]`.",
		answers: []answerDoc{
			{contentType: jsonType, schema: "Records", about: "The records as a JSON array."},
			{contentType: "application/jsonl", about: "A record as JSON on each line."},
			{contentType: "text/csv", about: "A line of names, and a line for each record. Each member that a record has is a column. " +
				"A text that a spreadsheet would run as a formula has an apostrophe in front."},
			{contentType: "text/plain", about: "Line protocol of InfluxDB."},
		},
		conditional: true,
		problems:    append([]problemKind{nothingFound, noFormat, noSummaries, beyondLimit, corruptData}, readProblems...),
		examples: []exampleDoc{
			{summary: "The newest record", address: "/analytics/cpu?database=mydb&limit=1"},
			{summary: "One field of one host in the newest bucket of the last six hours",
				address: "/analytics/cpu?database=mydb&field=usage_idle&tag=host=a&start=-6h&last=1"},
			{summary: "Hourly percentiles of each host, as CSV",
				address: "/analytics/cpu?database=mydb&bucket=1h&group_by=host&stats=count,p50,p99.9&format=csv"},
			{summary: "The share of values up to 99.5 on each day in Berlin, over all hosts",
				address: "/analytics/cpu?database=mydb&bucket=1d&timezone=Europe/Berlin&group_by=&share_le=99.5&stats=count"},
			{summary: "A line of JSON for each record", address: "/analytics/cpu?database=mydb&last=1&format=jsonl"},
			{summary: "Line protocol", address: "/analytics/cpu?database=mydb&last=1&format=lp"},
			{summary: "A parameter with a wrong value", address: "/analytics/cpu?database=mydb&last=0", status: http.StatusBadRequest},
			{summary: "An unknown field", address: "/analytics/cpu?database=mydb&field=usage_idel", status: http.StatusBadRequest},
			{summary: "A table that does not exist", address: "/analytics/memory?database=mydb", status: http.StatusNotFound},
		},
	}
}

// streamDocs describes GET /analytics/{table}/stream.
func streamDocs() docs {
	return docs{
		id: "stream", tag: tagRecords, summary: "Receive changed buckets",
		about: "Server-sent events. Each has the records of a changed bucket, or is one of:\n\n" +
			"- `present`: what is read after this event is at least as new\n" +
			"- `reset`: changes may have been missed, so everything must be read again\n" +
			"- `dropped`: the service ends the stream; the data has the `reason`\n\n" +
			"The data of `bucket` has `time_bucket`, and in `records` all records of the bucket that the request wants, those of each agent apart; " +
			"of more than 256 KiB " +
			"`large: true` instead. Every 15 seconds there is a comment.",
		headers: []parameter{{
			name: "Last-Event-ID", examples: []string{"0"},
			about: "The id of the last event that the client got. The stream begins with the buckets that have changed since, or with `reset`.",
		}},
		answers:  []answerDoc{{contentType: "text/event-stream", about: "The events, until the client or the service ends the stream."}},
		problems: append([]problemKind{nothingFound, corruptData}, readProblems...),
		examples: []exampleDoc{{summary: "All changes of one field", address: "/analytics/cpu/stream?database=mydb&field=usage_idle"}},
	}
}

// healthDocs describes GET /health, which does not depend on Redis.
func healthDocs() docs {
	return docs{
		id: "health", tag: tagService, summary: "Check that the service runs",
		about: "The status is 200 while the service runs, also if Redis does not. " +
			"Where tokens are needed, only a request with a valid one gets the details.",
		answers:  []answerDoc{{contentType: jsonType, schema: "Health", about: "The service runs."}},
		examples: []exampleDoc{{summary: "A probe", address: "/health"}},
	}
}

// readyDocs describes GET /ready, which does.
func readyDocs() docs {
	return docs{
		id: "ready", tag: tagService, summary: "Check that records can be read",
		about:    "The status is 200 while Redis answers, and else 503. The answer has warnings about settings of Redis with which it can lose records.",
		answers:  []answerDoc{{contentType: jsonType, schema: "Ready", about: "Redis answers."}},
		problems: []problemKind{noAnswer},
		examples: []exampleDoc{{summary: "A probe", address: "/ready"}},
	}
}

// metricsDocs describes GET /metrics, about the service.
func metricsDocs() docs {
	return docs{
		id: "metrics", tag: tagPrometheus, summary: "Scrape the service",
		about:    "Metrics of the service itself for Prometheus: requests by route and status, refused requests by reason, memory.",
		answers:  []answerDoc{{contentType: "text/plain", about: "The text format of Prometheus."}},
		examples: []exampleDoc{{summary: "A scrape", address: "/metrics"}},
	}
}

// exportDocs describes GET /metrics/analytics, about the records.
func exportDocs() docs {
	return docs{
		id: "export", tag: tagPrometheus, summary: "Scrape the newest records",
		about: "The newest final record of each series of the tables in `[[export]]`, for Prometheus: gauges, and native histograms of " +
			"records that have summaries. The header `Accept` selects the format.",
		answers: []answerDoc{
			{contentType: "text/plain", about: "The text format of Prometheus, without histograms."},
			{contentType: "application/openmetrics-text", about: "OpenMetrics, without histograms."},
			{contentType: "application/vnd.google.protobuf", about: "Messages of Prometheus, with native histograms."},
		},
		problems: readProblems,
		examples: []exampleDoc{{summary: "A scrape", address: "/metrics/analytics"}},
	}
}

// indexDocs describes GET /, for programs; browsers get the page.
func indexDocs() docs {
	return docs{
		id: "index", tag: tagService, summary: "List the addresses",
		about:    "The version of the service and the addresses of its routes.",
		answers:  []answerDoc{{contentType: jsonType, schema: "Index", about: "The addresses."}},
		examples: []exampleDoc{{summary: "The addresses", address: "/"}},
	}
}

// openAPIDocs describes GET /openapi.json.
func openAPIDocs() docs {
	return docs{
		id: "openapi", tag: tagService, summary: "Read this document",
		about:       "The OpenAPI document of this service, made from the table of its routes.",
		answers:     []answerDoc{{contentType: jsonType, about: "The document, which is of OpenAPI 3.1.", schema: "Document"}},
		conditional: true,
		examples:    []exampleDoc{{summary: "This document", address: "/openapi.json"}},
	}
}

// viewerDocs describes GET /docs.
func viewerDocs() docs {
	return docs{
		id: "docs", tag: tagService, summary: "Show this document",
		about:    "A page that shows this document and sends requests. It loads nothing from other hosts.",
		answers:  []answerDoc{{contentType: "text/html", about: "The page."}},
		examples: []exampleDoc{{summary: "The page", address: "/docs"}},
	}
}
