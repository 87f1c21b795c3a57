package describe

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// If options change that belong to the identity of a store, its folder becomes an orphan: no block opens it any more. What
// happens to its buckets depends on the options that changed:
//
//   - If the buckets have the same bounds and tables as those of a block, that block is the heir. If the state of the heir
//     is empty, it continues the orphan with all its buckets. An heir with buckets of its own joins the open buckets of
//     the orphan with them, and the orphan is retired.
//   - Otherwise, some block makes the open buckets final, emits their rows, and retires the orphan.
//
// A late value for a final bucket of a retired store corrects it, because all stores in the folder whose rows are in the same
// tables are relatives: see package state. An open bucket of another block is borrowed if its next value comes to this one.
//
// This happens before the first metric: a value that opens a bucket must find the final one. The first block to get a metric
// does it for all blocks with their state in the same folder, because the value may be for a bucket that another one inherits.
//
//	orphan ─ heirOf ─▶ heir with empty state ───▶ continueOrphan: the heir gets the folder
//	   │         └───▶ heir with buckets ───────▶ drainAll: open buckets join, or become final ─┐
//	   └─ no heir ───▶ the block that sees it first ─▶ drainAll: open buckets become final ─────┤
//	                                                 Push emits their rows ─▶ retireDrained ◀──┘
//
// Until its rows have left, an orphan is not retired. So after a crash, the next run does the same again.

// orphanInterval is how often the folder is searched for orphans.
const orphanInterval = time.Hour

// sameBuckets reports whether buckets of these two identities have the same bounds, and rows in the same tables. Texts that differ
// can mean the same bounds, such as "60s" and "1m". It returns false for an identity that it cannot read.
func sameBuckets(a, b map[string]string) bool {
	if a["prefix"] != b["prefix"] {
		return false
	}
	x, xErr := gridOf(a)
	y, yErr := gridOf(b)
	return xErr == nil && yErr == nil && x.Equal(y)
}

// gridOf returns the grid of an identity.
func gridOf(identity map[string]string) (bucket.Grid, error) {
	width, err := bucket.ParseWidth(identity["bucket"])
	if err != nil { // a fraction of a second, which only a period can have
		period, bad := time.ParseDuration(identity["bucket"])
		if bad != nil {
			return bucket.Grid{}, err
		}
		width = bucket.Fixed(period)
	}
	zone, zoneErr := bucket.LoadZone(identity["timezone"])
	origin, originErr := time.Parse(time.RFC3339Nano, identity["origin"])
	if err := errors.Join(zoneErr, originErr); err != nil {
		return bucket.Grid{}, err
	}
	return bucket.NewGrid(width, origin, zone)
}

// likeness returns the number of options that are equal in both identities. An option that one of them lacks is not equal.
func likeness(a, b map[string]string) (n int) {
	for option, value := range a {
		if other, ok := b[option]; ok && other == value {
			n++
		}
	}
	return n
}

// heirOf returns the folder of the open store that gets the buckets of an orphan: the one that has begun to join it, or that
// gets the buckets of that one; else, of those with the same buckets, the one whose options are most alike, and the first one of
// these. It returns "" if there is none.
func heirOf(orphan state.Folder, used, orphans []state.Folder) string {
	isHeir := func(f state.Folder) bool { return f.Path == orphan.Heir }
	if slices.ContainsFunc(used, isHeir) {
		return orphan.Heir
	}
	if i := slices.IndexFunc(orphans, isHeir); i >= 0 && i != slices.IndexFunc(orphans, func(f state.Folder) bool { return f.Path == orphan.Path }) {
		return heirOf(orphans[i], used, slices.Delete(slices.Clone(orphans), i, i+1))
	}
	heirs := slices.DeleteFunc(slices.Clone(used), func(f state.Folder) bool { return !sameBuckets(f.Identity, orphan.Identity) })
	if len(heirs) == 0 {
		return ""
	}
	return slices.MinFunc(heirs, func(a, b state.Folder) int {
		return cmp.Or(likeness(b.Identity, orphan.Identity)-likeness(a.Identity, orphan.Identity), cmp.Compare(a.Path, b.Path))
	}).Path
}

// orphans returns the folders that this block must take care of: its own inheritance, the most alike first, and the
// folders without an heir. All blocks open their stores before the first metric, so their folders are no orphans. The
// stores of another Telegraf are left alone, even if it does not run, until they were not used for a day. An earlier run with other
// arguments is no other Telegraf.
func (d *Describe) orphans() (own, others []state.Folder) {
	orphans, used, err := state.Orphans(d.State, d.owner, d.now())
	if err != nil {
		d.Log.Errorf("Looking for other state in %q: %v", d.State, err)
	}
	for _, f := range orphans {
		if f.Heir != "" && !slices.ContainsFunc(slices.Concat(orphans, used), func(o state.Folder) bool { return o.Path == f.Heir }) {
			continue // another Telegraf may join it
		}
		switch heirOf(f, used, orphans) {
		case d.store.Folder():
			own = append(own, f)
		case "":
			others = append(others, f)
		}
	}
	slices.SortStableFunc(own, func(a, b state.Folder) int {
		return cmp.Or(joins(a)-joins(b), likeness(b.Identity, d.store.Identity())-likeness(a.Identity, d.store.Identity()))
	})
	slices.SortStableFunc(others, func(a, b state.Folder) int { return joins(a) - joins(b) })
	return own, others
}

// joins returns 1 if another store has begun to join that one, which must then be joined after that, and else 0.
func joins(f state.Folder) int {
	if f.Heir != "" {
		return 1
	}
	return 0
}

// inherit takes over the buckets of orphans, for all blocks with their state in the same folder. It does nothing if it was
// called before. First each block with empty state continues an orphan; then the relatives are looked for; then the other orphans are
// drained, for which values may need a relative.
func (d *Describe) inherit() {
	if d.store == nil {
		return
	}
	running.inheriting.Lock()
	defer running.inheriting.Unlock()
	if !d.looked.IsZero() {
		return
	}
	all := running.with(d.State)
	first := slices.DeleteFunc(slices.Clone(all), func(o *Describe) bool { return !o.looked.IsZero() })
	for _, o := range first {
		o.looked = o.now()
		if own, _ := o.orphans(); len(own) > 0 && own[0].Heir == "" && o.store.Empty() {
			o.continueOrphan(own[0])
		}
	}
	relateAll(d.State)
	for _, o := range first {
		o.takeOver()
	}
}

// lookAgain takes over the buckets of orphans that came since the last look, at most once in orphanInterval. A store of another owner
// becomes an orphan only after a day. An interval of the wall clock in either direction counts, as the clock may be set back.
func (d *Describe) lookAgain() {
	now := d.now()
	if d.store == nil {
		return
	}
	running.inheriting.Lock()
	defer running.inheriting.Unlock()
	if now.Sub(d.looked).Abs() >= orphanInterval {
		d.looked = now
		d.takeOver()
	}
}

// takeOver takes over the buckets of orphans. The caller holds running.inheriting, as do those of the functions below except
// retireDrained.
func (d *Describe) takeOver() {
	own, others := d.orphans()
	d.drainAll(append(own, others...))
}

// relateAll looks for the relatives of all blocks with their state in the folder. It must be called when a store was opened or
// renamed.
func relateAll(folder string) {
	for _, o := range running.with(folder) {
		o.relate()
	}
}

// relate looks for the other blocks and stores whose rows are in the same tables: blocks with open state are siblings, which can lend
// open buckets, and the stores of all of them are relatives, in which late values find final ones.
func (d *Describe) relate() {
	var siblings []*Describe
	var live, drained []*state.Store
	for _, o := range running.with(d.State) {
		drained = append(drained, o.drained...)
		if o != d && d.related(o.identity()) != state.Unrelated {
			siblings = append(siblings, o)
			live = append(live, o.store)
		}
	}
	d.siblings.Store(&siblings)
	d.logReading(d.store, d.store.Relate(live, drained))
}

// continueOrphan replaces the empty store of the block by that of the orphan, and the engine by one with its buckets. It
// reports whether it has.
func (d *Describe) continueOrphan(orphan state.Folder) bool {
	next, err := d.store.Continue(orphan)
	if err != nil {
		d.Log.Errorf("Continuing the state in %q: %v", orphan.Path, err)
	}
	if next == nil || next == d.store {
		return false
	}
	if err := d.useState(next); err != nil {
		d.Log.Errorf("%v", err)
	}
	if err == nil {
		d.Log.Warnf("The options %v of a describe block are now %v: its %d open buckets and its final ones continue",
			orphan.Identity, next.Identity(), next.Stats().Open)
	}
	return err == nil
}

// drainAll gives the buckets of orphans to the engine. retireDrained must be called when the rows have left.
func (d *Describe) drainAll(orphans []state.Folder) {
	for _, f := range orphans {
		s, err := state.OpenFolder(f.Path, d.stateOptions())
		if err != nil {
			continue // another block drains it, or it is damaged, which was logged
		}
		d.drained = append(d.drained, s)
		relateAll(d.State)
		d.drain(s, f.Heir)
	}
}

// retireDrained sets the folders of drained stores aside.
func (d *Describe) retireDrained() {
	running.inheriting.Lock()
	defer running.inheriting.Unlock()
	if len(d.drained) == 0 {
		return
	}
	for _, s := range slices.Backward(d.drained) { // a store that has begun to join another one is needed until that is set aside
		folder := s.Folder()
		if err := s.Retire(); err != nil {
			d.Log.Errorf("Setting the state in %q aside: %v", folder, err)
		}
	}
	d.drained = nil
	relateAll(d.State)
}

// drain gives the buckets of an orphan to the engine, and logs how many open ones there were. heir is the folder of the store that
// has begun to join the orphan, or "".
//
// An open bucket that is one of this block's grid and tables joins. Any other becomes final in the orphan, and the next Push emits its
// rows. Then the rows that left within state_replay before the end of the orphan's last run are emitted again, if that run crashed.
func (d *Describe) drain(s *state.Store, heir string) {
	prefix := s.Identity()["prefix"]
	var joins []state.Bucket
	var again []engine.Bucket
	d.logReading(s, s.Drain(func(handle uint64, b state.Bucket) error {
		if start, end, ok := d.options.Grid.Bounds(b.Start); prefix == d.Prefix && ok && start == b.Start && end == b.End {
			joins = append(joins, b)
		} else {
			again = append(again, engine.Bucket(b))
			s.Final(handle, b)
		}
		return nil
	}))
	if err := s.Commit(); err != nil { // a block with the former options finds the final buckets, when there is one again
		d.Log.Errorf("Saving the buckets of the state in %q: %v", s.Folder(), err)
	}
	adopted := d.join(s, heir, joins)
	adopted.Final += len(again)
	d.Log.Warnf("No describe block has the options %v any more: of their open buckets, %d are final now, %d continue in this block, and %d "+
		"were expired, so their values are dropped. Their state is set aside as \"%s.retired-…\"",
		s.Identity(), adopted.Final, adopted.Joined, adopted.Expired, s.Folder())
	d.logReading(s, s.Recent(func(b state.Bucket) error {
		again = append(again, engine.Bucket(b))
		return nil
	}))
	d.engine.Again(prefix, again)
}

// join adds open buckets of an orphan to the engine. If all its buckets are like those of this block, the final ones
// become expired. They are not copied: there may be gigabytes of them.
func (d *Describe) join(s *state.Store, heir string, all []state.Bucket) (adopted engine.Adopted) {
	var before *state.Store
	if i := slices.IndexFunc(d.drained, func(o *state.Store) bool { return o.Folder() == heir }); i >= 0 {
		before = d.drained[i]
	}
	if err := d.store.Join(s, before, all, func(part []state.Bucket) {
		buckets := make([]engine.Bucket, len(part))
		for i, b := range part {
			buckets[i] = engine.Bucket(b)
		}
		a := d.engine.Adopt(buckets)
		adopted.Final, adopted.Joined, adopted.Expired = adopted.Final+a.Final, adopted.Joined+a.Joined, adopted.Expired+a.Expired
	}); err != nil {
		d.Log.Errorf("Saving the buckets of the state in %q: %v", s.Folder(), err)
	}
	if sameBuckets(s.Identity(), d.store.Identity()) {
		d.logReading(s, d.store.Expire(s))
	}
	return adopted
}

// logReading logs an error of reading the store of an orphan.
func (d *Describe) logReading(s *state.Store, err error) {
	if err != nil {
		d.Log.Errorf("Reading the state in %q: %v", s.Folder(), err)
	}
}
