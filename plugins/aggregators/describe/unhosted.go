package describe

import (
	"path/filepath"
	"sync"
)

// instances are the instances with an open state that no host closes: those of a Telegraf that is not telegraf-describe.
// Such a Telegraf does not tell a plugin that it has stopped, and at a reload it makes a new instance in the same process,
// while the old one still has its state open.
//
// Telegraf initializes all plugins of a configuration before it runs any of them. So when an instance is initialized,
// each one that has pushed is of an agent that has stopped. Its last Push came after its last metric, so its state is
// complete.
type instances struct {
	mu  sync.Mutex
	all map[*Describe]string // the folder of the option state, absolute
}

// unhosted is a variable of the package because nothing else connects the instances before and after a reload.
var unhosted = instances{all: make(map[*Describe]string)}

// add adds an instance whose state is open.
func (i *instances) add(d *Describe) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all[d] = absolute(d.State)
}

func (i *instances) remove(d *Describe) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.all, d)
}

// stopped removes and returns the instances with their state in that folder that have pushed.
func (i *instances) stopped(folder string) (all []*Describe) {
	folder = absolute(folder)
	i.mu.Lock()
	defer i.mu.Unlock()
	for d, of := range i.all {
		if of == folder && d.pushed.Load() {
			all = append(all, d)
			delete(i.all, d)
		}
	}
	return all
}

func absolute(folder string) string {
	if path, err := filepath.Abs(folder); err == nil {
		return path
	}
	return folder
}

// closeStopped ends the runs of the instances before a reload, so that their states can be opened.
func (d *Describe) closeStopped() {
	for _, old := range unhosted.stopped(d.State) {
		if err := old.Close(); err != nil {
			d.Log.Errorf("Closing the state before the reload: %v", err)
		}
	}
}
