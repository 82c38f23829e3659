package agent

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-ssh/sallyport/internal/wire"
)

// untilRenewal is how long the host certificates are good enough: until half of
// their life is over, give or take a tenth, so that nodes that enrolled together
// do not renew together. What could not be renewed is tried again as a.renewal
// says, with the other half of the life in hand.
func (a *agent) untilRenewal(now time.Time) time.Duration {
	if a.want.state.Version == 0 {
		return never // the state comes first
	}
	if a.renewal.next != 0 {
		return a.renewal.wait()
	}
	if len(a.want.certificates) == 0 || a.rekeyed() {
		return 0
	}
	soonest := never
	for _, c := range a.want.certificates {
		soonest = min(soonest, a.renewAt(c).Sub(now))
	}
	return max(0, soonest)
}

// rekeyed says whether sshd has other host keys than those that are certified.
func (a *agent) rekeyed() bool {
	certified := func(key ssh.PublicKey) bool {
		return slices.ContainsFunc(a.want.certificates, func(c *ssh.Certificate) bool { return sameKey(c.Key, key) })
	}
	for _, key := range a.keys {
		if !certified(key) {
			return true
		}
	}
	return len(a.keys) > 0 && len(a.keys) != len(a.want.certificates)
}

// renewAt is when c is due: at once if it is not what is wanted any more.
func (a *agent) renewAt(c *ssh.Certificate) time.Time {
	trusted := slices.ContainsFunc(a.want.hostCA, func(ca ssh.PublicKey) bool { return sameKey(ca, c.SignatureKey) })
	if !trusted || !slices.Contains(c.ValidPrincipals, string(a.want.state.Name)) {
		return time.Time{}
	}
	life := time.Duration(c.ValidBefore-c.ValidAfter) * time.Second
	jitter := rand.New(rand.NewPCG(c.Serial, c.ValidAfter)).Float64() // the same at every look
	return time.Unix(int64(c.ValidAfter), 0).Add(life/2 + time.Duration((jitter-0.5)*0.2*float64(life)))
}

// renew asks for certificates of the host keys that sshd has now.
func (a *agent) renew(ctx context.Context) (err error) {
	defer func() {
		if err == nil {
			a.renewal.reset()
		} else {
			a.renewal.failed()
		}
	}()
	effective, err := a.node.program.Effective(ctx, a.node.program.Config, "")
	if err != nil {
		return err
	}
	keys, _, err := hostKeys(effective)
	if err != nil {
		return err
	}
	var blobs [][]byte
	for _, key := range keys {
		blob, err := a.certify(ctx, key)
		if err != nil {
			return err
		}
		blobs = append(blobs, blob)
	}
	a.want, err = a.want.certify(blobs, keys, time.Now())
	return err
}

func (a *agent) certify(ctx context.Context, key ssh.PublicKey) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	request := wire.HostCertificateRequest{HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))}
	var answer wire.HostCertificate
	err := a.client.Do(ctx, http.MethodPost, wire.PathAgentRenew, request, &answer)
	return answer.Certificate, err
}
