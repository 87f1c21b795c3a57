package profile

import (
	"cmp"
	"slices"
	"sync"
)

// adders are goroutines that add cells to fields. Each pair of a column and a group belongs to one of them, so that fields need no
// lock: adder (position of the column + number of the group) modulo their number. Neighbouring columns, which have about as many
// cells, are so spread evenly, and the groups of a single column are too.
//
// An adder reads every job and adds its own share of it, in the order of the jobs: values of one field are never added in another order,
// which the first and the last value, and the most frequent texts, depend on.
type adders struct {
	queues  []chan addition // one for each; the collector sends, and stop closes them
	running sync.WaitGroup  // the goroutines
	pending sync.WaitGroup  // additions that were sent and are not done; only the collector waits, and it is the one that sends
}

// addition is a job to add, and what to do once all adders have done so.
type addition struct {
	job  *job   // the same for all adders
	free func() // called by the last of them, in its goroutine: nobody reads the job any more
}

// startAdders starts n adders. Each queue has room for as many jobs as there are, so that add never waits: a job is free again only after
// each adder has taken it from its queue. stop ends them.
func startAdders(n, jobs int) *adders {
	a := &adders{}
	for i := range n {
		queue := make(chan addition, jobs)
		a.queues = append(a.queues, queue)
		a.running.Go(func() {
			for next := range queue {
				next.job.add(i, n)
				if next.job.left.Add(-1) == 0 {
					next.free()
				}
				a.pending.Done()
			}
		})
	}
	return a
}

// add passes a job to all adders, in the order of the calls. It does not wait for them. The last one to finish calls free. It is for
// one goroutine, the collector.
func (a *adders) add(j *job, free func()) {
	j.left.Store(int32(len(a.queues)))
	a.pending.Add(len(a.queues))
	for _, queue := range a.queues {
		queue <- addition{j, free}
	}
}

// wait returns once all jobs were added. Then the fields may be used until the next add.
func (a *adders) wait() { a.pending.Wait() }

// stop ends the adders after all jobs were added, and returns when they are gone. It is called once, and no add may follow.
func (a *adders) stop() {
	for _, queue := range a.queues {
		close(queue)
	}
	a.running.Wait()
}

// add adds the cells that belong to adder me of n, from 0. All adders of a job read it at once; none changes it. Each looks at all runs
// of the job, which are few beside the cells.
func (j *job) add(me, n int) {
	for _, q := range j.parts {
		for i := range q.columns {
			c := &q.columns[i]
			if c.to == nil {
				continue
			}
			start := 0
			for k, cells := range c.runs {
				g := q.groups[cells.group]
				if (c.to.position+g.number)%n == me {
					c.fields[k].add(q.batch, c, start, cells.end)
				}
				start = cells.end
			}
		}
	}
}

// worthDemoting is how many bytes a field must hold to be made an estimate, which takes some thousands of bytes itself. So many small
// fields can exceed the limit together, which Result.Over reports.
const worthDemoting = 10_000

// measure measures the memory of all fields. If it is above the limit, the fields that hold most become estimates until
// an eighth of the limit is free. No adder is at work.
//
// It is called when what was held, and the most that was added since, exceed next. Measuring after every batch would look at each
// field for each quarter of a megabyte. With an eighth of the limit free, the next time is an eighth of the limit away. Where fields
// can no longer shrink, next grows with what they hold, so that measuring stays rare.
//
// Which fields are demoted depends on when it is called, and so on the cuts between chunks, but not on the number of workers: the sum of
// part.bytes is the same for any number of them.
func (p *run) measure() {
	type sized struct {
		*field

		size int // before it became an estimate
	}
	var all []sized
	p.held, p.unknown = 0, 0
	for _, t := range p.order {
		for _, g := range t.order {
			for _, f := range g.fields {
				if f == nil {
					continue
				}
				size := f.bytes()
				p.held += size
				if size >= worthDemoting && f.exact() {
					all = append(all, sized{f, size})
				}
			}
		}
	}
	limit := p.o.MemoryLimit
	if p.held > limit {
		slices.SortStableFunc(all, func(a, b sized) int { return cmp.Compare(b.size, a.size) })
		for _, f := range all {
			if p.held <= limit-limit/8 {
				break
			}
			f.demote()
			p.held += f.bytes() - f.size
			p.result.Demoted++
		}
		p.result.Over = p.held > limit
	}
	p.next = max(limit, p.held+limit/8)
}
