package describe

import (
	"cmp"
	"path/filepath"
	"slices"
	"sync"
)

// instances are the instances of this process with an open state. Nothing else connects the blocks of a configuration, and the
// instances before and after a reload.
//
// A Telegraf that is not telegraf-describe does not tell a plugin that it has stopped, and at a reload it makes a new instance in
// the same process, while the old one still has its state open. It initializes all plugins of a configuration before it runs
// any of them. So when an instance is initialized, each one that has pushed is of an agent that has stopped. Its last Push came
// after its last metric, so its state is complete.
type instances struct {
	mu  sync.Mutex           // guards all; it may be locked while inheriting is held, but not the other way round
	all map[*Describe]string // the folder of the option state, absolute

	// inheriting is held by inherit and lookAgain, and guards looked, siblings and drained of all instances, and their engines and stores
	// until they have got their first metric.
	inheriting sync.Mutex

	// renaming is held while folders of relatives are renamed: a late value waits for that, instead of being dropped. It may be locked while
	// inheriting or the lock of an engine is held, but not the other way round.
	renaming sync.RWMutex
}

// running are the instances of this process. It is a variable of the package because Telegraf creates the instances, and passes
// nothing to them that they share.
var running = instances{all: make(map[*Describe]string)}

// add adds an instance whose state is open.
func (i *instances) add(d *Describe) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all[d] = absolute(d.State)
}

// remove removes an instance whose state is closed, or will be at once. It does nothing if the instance is not there.
func (i *instances) remove(d *Describe) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.all, d)
}

// stopped removes and returns the instances with their state in that folder that no host closes and that have pushed.
func (i *instances) stopped(folder string) (all []*Describe) {
	folder = absolute(folder)
	i.mu.Lock()
	defer i.mu.Unlock()
	for d, of := range i.all {
		if of == folder && !d.pusher.host.Closes && d.pushed.Load() {
			all = append(all, d)
			delete(i.all, d)
		}
	}
	return all
}

// with returns the instances with their state in that folder, ascending by the folders of their stores.
func (i *instances) with(folder string) (all []*Describe) {
	folder = absolute(folder)
	i.mu.Lock()
	defer i.mu.Unlock()
	for d, of := range i.all {
		if of == folder {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *Describe) int { return cmp.Compare(a.store.Folder(), b.store.Folder()) })
	return all
}

// absolute returns the absolute path of a folder, because two blocks can name one folder in different ways. Links are not followed.
func absolute(folder string) string {
	if path, err := filepath.Abs(folder); err == nil {
		return path
	}
	return folder
}

// closeStopped ends the runs of the instances before a reload, so that their states can be opened.
func (d *Describe) closeStopped() {
	for _, old := range running.stopped(d.State) {
		if err := old.Close(); err != nil {
			d.Log.Errorf("Closing the state before the reload: %v", err)
		}
	}
}
