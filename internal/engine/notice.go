package engine

// Counters count what an engine did since it was made, and what it held at its last Push.
type Counters struct {
	// Values that are in no bucket, by reason.
	Late            int64 // their bucket is final
	Future          int64 // further ahead of the clock than Options.MaxFuture
	NaN             int64 // NaN or infinite
	OutOfRange      int64 // their bucket begins before September 1677
	ValuesOfDropped int64 // of a series beyond Options.MaxSeries

	SeriesDropped int64 // points of series beyond Options.MaxSeries
	Forgotten     int64 // series of which it is not known any more which buckets were final
	Demotions     int64 // summaries that became histograms to keep to the memory limit
	Revised       int64 // final buckets that a late value opened again
	StateErrors   int64 // failures of the store

	// As of the last Push.
	Series, Buckets, Exact, Histograms int64
	Memory                             int64 // bytes held by summaries and by the knowledge of final buckets
}

// Counters returns the counters as they are now.
func (e *Engine) Counters() Counters {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counters
}

// Notice is something that an operator should know. Each kind comes once, TagRenamed once for each tag, and
// StateFailed each time.
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
	TagRenamed       NoticeKind = iota // Text leaves under another name
	SummariesDemoted                   // Number of the largest summaries became histograms, to keep to the memory limit
	MemoryExceeded                     // the summaries hold Number bytes, and none becomes smaller as a histogram
	SeriesForgotten                    // the spans of final buckets of some series are forgotten
	StateFailed                        // the store failed with Err
)

// notices has what was noticed before.
type notices struct {
	once map[Notice]bool
}

// maxNotices is how many notices are remembered; tags beyond it are renamed without one.
const maxNotices = 1000

func (e *Engine) notify(n Notice) {
	if e.o.Notice == nil {
		return
	}
	if n.Kind != StateFailed {
		key := Notice{Kind: n.Kind, Text: n.Text}
		if e.noticed.once[key] || len(e.noticed.once) >= maxNotices {
			return
		}
		if e.noticed.once == nil {
			e.noticed.once = make(map[Notice]bool)
		}
		e.noticed.once[key] = true
	}
	e.o.Notice(n)
}
