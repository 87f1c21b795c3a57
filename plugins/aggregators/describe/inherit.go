package describe

import (
	"cmp"
	"errors"
	"math"
	"path/filepath"
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
// tables are relatives: see package state. A field of an open bucket of another block is borrowed if its next value comes to this one.
//
// This happens before the first metric: a value that opens a bucket must find the final one. The first block to get a metric
// does it for all blocks with their state in the same folder, because the value may be for a bucket that another one inherits.
//
//	orphan ─ heirOf ─▶ heir with empty state ───▶ continueOrphan: the heir gets the folder
//	   │         └───▶ heir with buckets ───────────▶ drain: open buckets join, or become final ─┐
//	   └─ no heir ───▶ the block that sees it first ─▶ drain: open buckets become final ────────┤
//	                                                   retireDrained ◀─ Push emits their rows ◀─┘
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

// likeness returns the number of options that are equal in both identities. An option that one of them lacks is not equal. It compares the
// texts only.
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
//
// Of two blocks with buckets of an hour, for example, that differ in group_by and in the alias, an orphan with the group_by of the first
// and the alias of neither goes to the first. A block with buckets of a day is never its heir.
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
	orphans, used, err := state.Orphans(d.State, d.owner, d.related, d.now())
	if err != nil {
		d.Log.Errorf("Looking for other state in %q: %v", d.State, err)
	}
	used = slices.DeleteFunc(used, isDrained) // those will be set aside
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
	later := func(a, b state.Folder) int { return heirs(a, orphans) - heirs(b, orphans) }
	slices.SortStableFunc(own, func(a, b state.Folder) int {
		return cmp.Or(later(a, b), likeness(b.Identity, d.store.Identity())-likeness(a.Identity, d.store.Identity()))
	})
	slices.SortStableFunc(others, later)
	return own, others
}

// isDrained reports whether a block of this process drains the store in a folder. Such a store is open, and so looks as if a block used it.
func isDrained(f state.Folder) bool {
	return slices.ContainsFunc(running.with(filepath.Dir(f.Path)), func(o *Describe) bool {
		return slices.ContainsFunc(o.drained, func(s *state.Store) bool { return s.Folder() == f.Path })
	})
}

// heirs returns how many of the orphans have begun to join that one, or one that has: it is needed until that is retired.
func heirs(f state.Folder, orphans []state.Folder) (n int) {
	for f.Heir != "" && n <= len(orphans) {
		n++
		i := slices.IndexFunc(orphans, func(h state.Folder) bool { return h.Path == f.Heir })
		if i < 0 {
			break
		}
		f = orphans[i]
	}
	return n
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
		if !o.store.Empty() {
			continue // only an empty store can continue another one, and orphans reads the files of all stores
		}
		if own, _ := o.orphans(); len(own) > 0 && own[0].Heir == "" {
			o.continueOrphan(own[0])
		}
	}
	relateAll(d.State)
	for _, o := range first {
		o.share()
	}
	takeOver(d.State, first)
}

// share tells the engine about the siblings, which all blocks of a run have from its start.
func (d *Describe) share() {
	newest := int64(math.MinInt64)
	for _, o := range d.lenders() {
		newest = max(newest, o.store.Born())
	}
	if len(d.lenders()) > 0 {
		d.engine.Share(newest)
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
		takeOver(d.State, []*Describe{d})
	}
}

// takeOver lets blocks take over the buckets of orphans. All of these are open before the loans between stores are settled, and then drained.
// retireDrained must be called when the rows have left. The caller holds running.inheriting, as do those of the functions below except
// retireDrained.
func takeOver(folder string, blocks []*Describe) {
	found := make([][]state.Folder, len(blocks)) // of all blocks, before one of them opens a folder, which is no orphan then
	for i, d := range blocks {
		own, others := d.orphans()
		found[i] = append(own, others...)
	}
	var all []*orphan
	for i, d := range blocks {
		for _, f := range found[i] {
			s, err := state.OpenFolder(f.Path, d.stateOptions())
			if err != nil {
				continue // another block drains it, or it is damaged, which was logged
			}
			d.drained = append(d.drained, s)
			all = append(all, &orphan{Store: s, d: d, heir: f.Heir})
		}
	}
	if len(all) > 0 {
		relateAll(folder)
	}
	for _, d := range blocks[:min(1, len(blocks))] {
		d.settleLoans()
	}
	for _, o := range all {
		o.drain(all)
	}
	for _, o := range all {
		o.join(all)
	}
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
		d.Log.Warnf("Options of a describe block have changed (%s): its %d open buckets and its final ones continue",
			differences(orphan.Identity, next.Identity()), next.Stats().Open)
	}
	return err == nil
}

// retireDrained sets the folders of drained stores aside. It must be called after a Push without an error: the rows of the buckets have
// left, and those that continue are in the state of this block. A folder that cannot be renamed is logged and stays an orphan; the next
// run drains it again.
func (d *Describe) retireDrained() {
	running.inheriting.Lock()
	defer running.inheriting.Unlock()
	if len(d.drained) == 0 {
		return
	}
	running.renaming.Lock() // until the new names are known
	defer running.renaming.Unlock()
	for _, s := range slices.Backward(d.drained) { // a store that has begun to join another one is needed until that is set aside
		folder := s.Folder()
		if err := s.Retire(); err != nil {
			d.Log.Errorf("Setting the state in %q aside: %v", folder, err)
		}
	}
	d.reached("retired")
	d.drained = nil
	relateAll(d.State)
}

// orphan is the store of an orphan that a block takes over.
type orphan struct {
	*state.Store
	d     *Describe
	heir  string              // the folder of the store that has begun to join it, or ""
	joins []state.Bucket      // its open buckets that are buckets of the block
	again []engine.Bucket     // those that are not, and become final
	open  map[openID][]string // the fields of those that join, until they are in the engine
}

// openID identifies an open bucket.
type openID struct {
	series string // the key of the series
	start  int64  // nanoseconds since 1970
}

// drain reads the open buckets of the orphan. One that is a bucket of the block's grid and tables will join. Any other becomes final in
// the orphan. Those that another store has got before a crash are left out.
func (o *orphan) drain(all []*orphan) {
	o.open = make(map[openID][]string)
	skip, done := o.joinedBefore(all), o.d.store.Joined(o.Store)
	fits := fitting(o.Identity()["prefix"], o.d.identity())
	o.d.logReading(o.Store, o.Drain(func(handle uint64, b state.Bucket) error {
		switch {
		case skip(b):
		case fits(b):
			if o.joins = append(o.joins, b); len(o.joins) > done {
				o.open[openID{b.Series, b.Start}] = b.Fields
			}
		default:
			o.again = append(o.again, engine.Bucket(b))
			o.Final(handle, b)
		}
		return nil
	}))
	if err := o.Save(); err != nil { // a block with the former options finds the final buckets, when there is one again
		o.d.Log.Errorf("Saving the buckets of the state in %q: %v", o.Folder(), err)
	}
}

// fitting returns whether a bucket of a store with the prefix is a bucket with these options. It reads the options once, and not for
// each of perhaps 100,000 buckets, because it takes the zone from the disk.
func fitting(prefix string, identity map[string]string) func(state.Bucket) bool {
	grid, err := gridOf(identity)
	if err != nil || prefix != identity["prefix"] {
		return func(state.Bucket) bool { return false }
	}
	return func(b state.Bucket) bool {
		start, end, ok := grid.Bounds(b.Start)
		return ok && start == b.Start && end == b.End
	}
}

// joinedBefore returns whether a bucket is one of those that orphans have got which have begun to join this one. It must be called for the
// buckets in their order.
func (o *orphan) joinedBefore(all []*orphan) func(state.Bucket) bool {
	type part struct {
		left int
		fits func(state.Bucket) bool
	}
	var parts []*part
	for heir := o.heir; len(parts) < len(all); { // files of heirs that name each other have no end
		i := slices.IndexFunc(all, func(h *orphan) bool { return h.Folder() == heir })
		if i < 0 {
			break
		}
		parts = append(parts, &part{all[i].Joined(o.Store), fitting(o.Identity()["prefix"], all[i].Identity())})
		heir = all[i].heir
	}
	return func(b state.Bucket) bool {
		for _, p := range parts {
			if p.left > 0 && p.fits(b) {
				p.left--
				return true
			}
		}
		return false
	}
}

// join gives the buckets of the orphan to the engine, and logs how many open ones there were. The next Push emits their rows. Then the rows
// that left within state_replay before the end of the orphan's last run are emitted again, if that run crashed.
//
// If all its buckets are like those of the block, the final ones become expired. They are not copied: there may be gigabytes of them.
func (o *orphan) join(all []*orphan) {
	d, adopted := o.d, engine.Adopted{Final: len(o.again)}
	if err := d.store.Join(o.Store, o.joins, func(part []state.Bucket) {
		buckets := make([]engine.Bucket, len(part))
		for i, b := range part {
			buckets[i] = engine.Bucket(b)
		}
		a := d.engine.Adopt(buckets, func(series string, start, end int64) []string { return o.heldElsewhere(all, series, start, end) })
		adopted.Final, adopted.Joined, adopted.Expired = adopted.Final+a.Final, adopted.Joined+a.Joined, adopted.Expired+a.Expired
	}); err != nil {
		d.Log.Errorf("Saving the buckets of the state in %q: %v", o.Folder(), err)
	}
	o.joins, o.open = nil, nil
	if sameBuckets(o.Identity(), d.store.Identity()) {
		d.logReading(o.Store, d.store.Expire(o.Store))
	}
	changed := cmp.Or(differences(o.Identity(), d.store.Identity()), "none")
	d.Log.Warnf("No describe block has the former options any more (changed: %s): of their open buckets, %d are final now, %d continue in this "+
		"block, and %d were expired, so their values are dropped. Their state is set aside as \"%s.retired-…\"",
		changed, adopted.Final, adopted.Joined, adopted.Expired, o.Folder())
	again := o.again
	d.logReading(o.Store, o.Recent(func(b state.Bucket) error {
		again = append(again, engine.Bucket(b))
		return nil
	}))
	d.engine.Again(o.Identity()["prefix"], again)
}

// heldElsewhere returns the fields of a bucket that siblings have open, or orphans that have not joined yet.
func (o *orphan) heldElsewhere(all []*orphan, series string, start, end int64) []string {
	fields := o.d.held(series, start, end)
	for _, other := range all {
		if other != o {
			fields = append(fields, other.open[openID{series, start}]...)
		}
	}
	return fields
}

// logReading logs an error of reading the store of an orphan.
func (d *Describe) logReading(s *state.Store, err error) {
	if err != nil {
		d.Log.Errorf("Reading the state in %q: %v", s.Folder(), err)
	}
}
