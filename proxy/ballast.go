package proxy

// ballast is memory that is never touched, and so takes addresses but no pages.
// The garbage collector counts it as live, and so runs when about as much more
// was allocated, and not every 4 MiB, which is its floor: x/crypto allocates each
// packet that it reads, so that a file of 1 GiB would cost 250 collections.
var ballast = make([]byte, 16<<20)
