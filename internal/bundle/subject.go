package bundle

import (
	"time"

	"github.com/sallyport-ssh/sallyport/internal/id"
)

// subject is what a sealed recording says of itself, in clear, once its chain
// and its seal were verified.
type subject struct {
	Session  id.Session
	Identity id.Identity
	Login    id.Login
	Node     id.NodeName
	NodeID   id.Node
	Proxy    id.Proxy
	Client   string
	Roles    []string
	Revision int64
	Started  time.Time

	Header   []byte // digest with which the chain begins
	Digest   []byte // with which it ends
	Seal     []byte // of the seal's statement
	SealedBy string // SHA256:... of the proxy's key
	Frames   uint64
	Bytes    int64
}
