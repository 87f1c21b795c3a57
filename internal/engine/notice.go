package engine

// Counters are the numbers of events since [New], and the sizes of the engine at the last Push.
type Counters struct {
	// Values that were dropped, by reason.
	Late            int64 // the bucket is final, and there is no store, the bucket has expired, or the store failed
	Future          int64 // further ahead of the clock than Options.MaxFuture
	NaN             int64 // NaN or infinite
	OutOfRange      int64 // int64 nanoseconds cannot hold the time, or the start of the bucket
	ValuesOfDropped int64 // of a series beyond Options.MaxSeries

	SeriesDropped int64 // points of series beyond Options.MaxSeries
	Forgotten     int64 // retired series whose final buckets are forgotten
	Demotions     int64 // summaries that became histograms because of the memory limit
	Revised       int64 // final buckets that a late value opened again
	StateErrors   int64 // failures of the store

	// The sizes at the last Push: series in the table, open buckets, and their summaries by kind. Buckets and
	// summaries include those that became final in that Push.
	Series, Buckets, Exact, Histograms int64
	Memory                             int64 // bytes of open buckets, spares and the final buckets of retired series
}

// Counters returns the counters as they are now.
func (e *Engine) Counters() Counters {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counters
}

// Notice is a message for the operator. Each kind is sent once. The exceptions are TagRenamed, once for each tag key,
// and StateFailed, once between two Pushes: a final bucket that cannot be read causes an error for each of its
// values.
type Notice struct {
	Kind   NoticeKind
	Text   string // the tag of TagRenamed
	Number int64  // of summaries or bytes
	Err    error  // of StateFailed
}

// NoticeKind is the kind of a [Notice].
type NoticeKind int

// The kinds of notices.
const (
	TagRenamed       NoticeKind = iota // the tag key Text has another name in rows
	SummariesDemoted                   // the largest summaries, Number of them, became histograms
	MemoryExceeded                     // open buckets hold Number bytes, and no summary is worth demoting
	SeriesForgotten                    // the final buckets of some retired series are forgotten
	StateFailed                        // the store failed with Err
)

// notices holds the notices that were sent.
type notices struct {
	once   map[Notice]bool
	failed bool // whether StateFailed was sent since the last Push
}

// maxNotices is the number of notices from which on tag keys are renamed without a notice, because the number of keys has no
// other bound.
const maxNotices = 1000

// notify sends a notice unless the same notice was sent before: see [Notice].
func (e *Engine) notify(n Notice) {
	if e.o.Notice == nil {
		return
	}
	if n.Kind == StateFailed {
		if e.noticed.failed {
			return
		}
		e.noticed.failed = true
	} else {
		key := Notice{Kind: n.Kind, Text: n.Text}
		if e.noticed.once[key] || n.Kind == TagRenamed && len(e.noticed.once) >= maxNotices {
			return
		}
		if e.noticed.once == nil {
			e.noticed.once = make(map[Notice]bool)
		}
		e.noticed.once[key] = true
	}
	e.o.Notice(n)
}
