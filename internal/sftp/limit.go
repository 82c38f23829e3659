package sftp

// Limits. Beyond one the conversation is Malformed with a name of its own; but
// content that comes out of order beyond maxPieces only loses its digest.
const (
	// maxPacket is OpenSSH's SFTP_MAX_MSG_LENGTH, in bytes after the length. A
	// node that tells a larger one by limits@openssh.com gets it, up to
	// maxLargest.
	maxPacket  = 256 << 10
	maxLargest = 1 << 20

	maxRequests = 100_000  // that wait for an answer
	maxHandles  = 16_384   // that are open
	maxHandle   = 256      // bytes of a handle (draft, section 6.2)
	maxName     = 256      // bytes of an extension's name
	maxNamed    = 16 << 20 // bytes of all paths that are held, of requests and open files
	maxPieces   = 4 << 20  // bytes of content that is held until what belongs before it comes
	pieceCost   = 1 << 10  // what a piece costs beside its bytes
	maxOffset   = 1 << 62  // in a file
	maxAtRest   = 4 << 10  // of a buffer that is kept between packets
)
