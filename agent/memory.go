package agent

import (
	"runtime"
	"runtime/debug"
)

// The agent shares its node with what the node is for: it may hold 25 MB. Most of
// the time it waits; a tighter garbage collector costs nothing that matters.
const (
	heapLimit  = 12 << 20 // bytes, of what Go's runtime manages
	gcPercent  = 25
	processors = 2
)

func limitMemory() {
	debug.SetMemoryLimit(heapLimit)
	debug.SetGCPercent(gcPercent)
	if runtime.GOMAXPROCS(0) > processors { // each has caches of its own
		runtime.GOMAXPROCS(processors)
	}
}

// returnMemory gives back what an installation took.
func returnMemory() { debug.FreeOSMemory() }
